variable "prefix" {
  type = string
}

variable "region" {
  type = string
}

variable "functions" {
  description = "The cron schedule of each scheduled function."
  type        = map(string)
}

variable "containers" {
  description = "The container of each function."
  type        = map(string)
}
