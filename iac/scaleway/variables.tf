# All of it is written by `python -m iac.plan` from the chalicefile (iac/scaleway/inputs.py). None of it is secret.

variable "stage" {
  description = "The stage's name in the chalicefile."
  type        = string
}

variable "prefix" {
  description = "Begins the names of everything but buckets."
  type        = string
}

variable "region" {
  description = "Where everything is."
  type        = string

  validation {
    condition     = var.region == "fr-par"
    error_message = "Health data stays on French soil: fr-par is the one region of this host that is."
  }
}

variable "organization" {
  type = string
}

variable "project" {
  description = "Functions, keys and the records' buckets."
  type        = string
}

variable "journal_project" {
  description = "The journal's buckets."
  type        = string
}

variable "trail_project" {
  description = "The bucket of the audit trail's export."
  type        = string
}

variable "journal_profile" {
  description = "The provider's profile of the journal's administrator; null for the deployer's own credentials."
  type        = string
  default     = null
}

variable "deployer" {
  description = "The IAM application that applies this: bucket policies name it, or it would lock itself out."
  type        = string
}

variable "journal_administrator" {
  description = "The IAM application that administers journal and trail."
  type        = string
}

variable "image" {
  description = "The image of all functions, by digest."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "An image is named by its digest: a tag can be moved."
  }
}

variable "domains" {
  description = "The host names of the stage's origins."
  type        = list(string)
}

variable "buckets" {
  description = "Buckets by name: what they hold, whether another administrator has them, how long they lock."
  type = map(object({
    holds     = list(string)
    journal   = bool
    lock_days = optional(number)
  }))
}

variable "keys" {
  description = "Keys by purpose. No rotation for those that sign: a new key is made, and both are published for a while."
  type = map(object({
    usage           = string
    algorithm       = string
    rotation_period = optional(string)
  }))
}

variable "roles" {
  description = "Functions and tools: what each may do with objects (by bucket) and with keys."
  type = map(object({
    function          = bool
    object_sets       = list(string)
    journal_sets      = list(string)
    organization_sets = list(string)
    key_permissions   = map(list(string))
    statements = list(object({
      bucket   = string
      sid      = string
      actions  = list(string)
      names    = list(string)
      prefixes = list(string)
    }))
  }))
}

variable "conditional" {
  description = "By bucket: the names that may only be written with If-None-Match (once), or also with If-Match (swap)."
  type = map(object({
    once = list(string)
    swap = list(string)
  }))
}

variable "functions" {
  description = "Functions by name: size, routes in the order in which they are tried, or a schedule."
  type = map(object({
    memory_bytes    = number
    cpu             = number
    timeout_seconds = number
    port            = number
    health          = string
    environment     = map(string)
    routes = list(object({
      method = string
      path   = string
    }))
    cron = optional(string)
  }))
}

variable "keys_variable" {
  description = "The variable by which each function is told the ids of the keys that are made here; null: it knows them."
  type        = string
  default     = null
}

variable "unmatched" {
  description = "The function to which requests go that no route matches: it answers 404."
  type        = string
}

variable "min_scale" {
  type = number
}

variable "max_scale" {
  type = number
}

variable "trail_days" {
  description = "How long an exported day of the audit trail is locked."
  type        = number
}

variable "log_days" {
  description = "How long technical logs are kept."
  type        = number
}

variable "alert_contacts" {
  description = "Who is told by e-mail."
  type        = list(string)
}
