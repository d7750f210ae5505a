"""CloudFormation templates of a stage on AWS, made from the chalicefile: no CDK, no transform, plain resource types."""
