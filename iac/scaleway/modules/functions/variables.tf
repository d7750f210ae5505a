variable "prefix" {
  type = string
}

variable "stage" {
  type = string
}

variable "region" {
  type = string
}

variable "project" {
  type = string
}

variable "image" {
  type = string
}

variable "functions" {
  type = map(object({
    memory_bytes    = number
    cpu             = number
    timeout_seconds = number
    port            = number
    health          = string
    environment     = map(string)
    routes          = list(object({ method = string, path = string }))
  }))
}

variable "key_ids" {
  description = "By the variable that tells them: the ids of keys by purpose."
  type        = map(map(string))
}

variable "min_scale" {
  type = number
}

variable "max_scale" {
  type = number
}
