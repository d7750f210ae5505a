output "ids" {
  description = "The bare id of each key: IAM conditions and the key service's paths have it without the region."
  value       = { for purpose, key in scaleway_key_manager_key.purpose : purpose => element(split("/", key.id), length(split("/", key.id)) - 1) }
}
