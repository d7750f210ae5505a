variable "prefix" {
  type = string
}

variable "region" {
  type = string
}

variable "project" {
  type = string
}

variable "keys" {
  type = map(object({
    usage           = string
    algorithm       = string
    rotation_period = optional(string)
  }))
}
