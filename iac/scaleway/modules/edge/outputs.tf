output "endpoint" {
  description = "Where the domains' CNAME records point."
  value       = scaleway_edge_services_dns_stage.front.default_fqdn
}
