output "applications" {
  description = "The application of each role."
  value       = { for role, application in scaleway_iam_application.role : role => application.id }
}
