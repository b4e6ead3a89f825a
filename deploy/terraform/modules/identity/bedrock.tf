# The models that the enricher may ask: those listed, and the models behind listed inference profiles only by way of the profile.

locals {
  ask = ["bedrock:CountTokens", "bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]

  own      = "arn:${var.account.partition}:bedrock:${var.account.region}"
  geo      = "^(us|us-gov|eu|apac|au|ca|jp|global)\\."
  models   = [for model in var.models : model.id if !startswith(model.id, "arn:") && !can(regex(local.geo, model.id))]
  profiles = [for model in var.models : model if startswith(model.id, "arn:") || can(regex(local.geo, model.id))]

  bedrock = concat(
    [for ids in [local.models] : {
      Sid      = "Models"
      Effect   = "Allow"
      Action   = local.ask
      Resource = [for id in ids : "${local.own}::foundation-model/${id}"]
    } if length(ids) > 0],
    flatten([for index, model in local.profiles : [
      for arn in [startswith(model.id, "arn:") ? model.id : "${local.own}:${var.account.id}:inference-profile/${model.id}"] : [
        { Sid = "Profile${index}", Effect = "Allow", Action = local.ask, Resource = [arn] },
        {
          Sid       = "ModelsOfProfile${index}"
          Effect    = "Allow"
          Action    = local.ask
          Resource  = ["arn:${var.account.partition}:bedrock:*::foundation-model/${coalesce(model.base_model_id, replace(model.id, "/${local.geo}/", ""))}"]
          Condition = { StringEquals = { "bedrock:InferenceProfileArn" = arn } }
        },
      ]
    ]]),
    [for arns in [var.guardrail_arns] : {
      Sid      = "Guardrails"
      Effect   = "Allow"
      Action   = ["bedrock:ApplyGuardrail"]
      Resource = sort(arns)
    } if length(arns) > 0],
  )
}
