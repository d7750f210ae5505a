# What `sceau stage prepare` needs for the things that have no Terraform resource. Nothing of it is secret.

output "applications" {
  description = "The IAM application of each role: `sceau stage prepare` makes its API key."
  value       = module.identity.applications
}

output "containers" {
  description = "The container of each function: its API key goes into its secret environment."
  value       = module.functions.containers
}

output "key_ids" {
  description = "Key Manager keys by purpose."
  value       = module.keys.ids
}

output "trail_export" {
  description = "The export job of the audit trail, as the provider's API takes it."
  value       = module.trail.export
}

output "endpoint" {
  description = "Where the domains' CNAME records point."
  value       = module.edge.endpoint
}
