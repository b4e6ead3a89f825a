output "service_accounts" {
  description = "For each service: the Kubernetes service account that has a role, and the role's ARN."
  value = {
    for service, association in aws_eks_pod_identity_association.service :
    service => { name = association.service_account, role_arn = association.role_arn }
  }
}
