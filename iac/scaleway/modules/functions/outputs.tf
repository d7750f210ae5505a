output "containers" {
  description = "The container of each function, with its region."
  value       = { for name, container in scaleway_container.function : name => container.id }
}
