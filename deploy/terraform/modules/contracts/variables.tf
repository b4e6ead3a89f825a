variable "directory" {
  description = "Folder of the contracts, with topics/ and avro/ in it."
  type        = string

  validation {
    condition     = length(fileset(var.directory, "topics/*.yaml")) > 0
    error_message = "There is no topics/*.yaml in this folder: name the folder of the contracts, such as schemas."
  }
}
