variable "prefix" {
  type = string
}

variable "organization" {
  type = string
}

variable "project" {
  type = string
}

variable "journal_project" {
  type = string
}

variable "roles" {
  type = map(object({
    function          = bool
    object_sets       = list(string)
    journal_sets      = list(string)
    organization_sets = list(string)
    key_permissions   = map(list(string))
  }))
}

variable "key_ids" {
  description = "The id of each key, by purpose."
  type        = map(string)
}
