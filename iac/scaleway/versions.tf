terraform {
  required_version = ">= 1.11.0"

  required_providers {
    scaleway = {
      source  = "scaleway/scaleway"
      version = "~> 2.81"
    }
  }
}

# Credentials come from the environment of who applies (SCW_ACCESS_KEY, SCW_SECRET_KEY), never from a variable.
provider "scaleway" {
  region          = var.region
  organization_id = var.organization
  project_id      = var.project
}

# The journal and the trail may have another administrator: a profile with that person's credentials.
provider "scaleway" {
  alias           = "journal"
  region          = var.region
  organization_id = var.organization
  project_id      = var.journal_project
  profile         = var.journal_profile
}
