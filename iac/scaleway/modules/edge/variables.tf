variable "prefix" {
  type = string
}

variable "region" {
  type = string
}

variable "project" {
  type = string
}

variable "domains" {
  type = list(string)
}

variable "functions" {
  description = "The routes of each function that has some. Two rules never match one request, so their order is free."
  type        = map(list(object({ method = string, path = string })))
}

variable "containers" {
  description = "The container of each function."
  type        = map(string)
}

variable "unmatched" {
  description = "The function that answers 404 to what no rule matches."
  type        = string
}
