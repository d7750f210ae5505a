"""Schedules, the trail, and the alarms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from iac.aws.functions import live
from iac.aws.names import Names
from iac.aws.parts import RETAINED, Json, attribute, camel, policy, ref, resource, tags
from iac.aws.storage import bucket_properties, deny, transport_statements

_GUARD_CALLS: Final = [
    "DeleteBucketPolicy",
    "DeleteTrail",
    "DisableKey",
    "DisableKeyRotation",
    "PutBucketObjectLockConfiguration",
    "PutBucketPolicy",
    "PutBucketVersioning",
    "PutKeyPolicy",
    "ScheduleKeyDeletion",
    "StopLogging",
    "UpdateTrail",
]
"""Calls that change what guards the data: each is told at once."""


def schedule_resources(names: Names) -> dict[str, Json]:
    """A rule for each scheduled function, with its retries and its dead letters."""
    return {
        logical: body
        for one in names.deployment.functions
        if one.rate
        for logical, body in _schedule(names, one.name, one.rate)
    }


def _schedule(names: Names, function: str, rate: str) -> Iterator[tuple[str, Json]]:
    rule = camel("schedule", function)
    yield (
        rule,
        resource(
            "AWS::Events::Rule",
            {
                "Name": names.of(function),
                "Description": f"Sceau {names.deployment.stage}: runs {function}",
                "ScheduleExpression": rate,
                "State": "ENABLED",
                "Targets": [
                    {
                        "Id": function,
                        "Arn": live(function),
                        "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600},
                        "DeadLetterConfig": {"Arn": attribute("DeadLetters", "Arn")},
                    }
                ],
            },
        ),
    )
    yield (
        camel("permission", function),
        resource(
            "AWS::Lambda::Permission",
            {
                "Action": "lambda:InvokeFunction",
                "FunctionName": live(function),
                "Principal": "events.amazonaws.com",
                "SourceArn": attribute(rule, "Arn"),
            },
        ),
    )


def trail_resources(names: Names) -> dict[str, Json]:
    """Every management call, and every call on objects of our buckets, told to a bucket that this stack can't touch."""
    objects = [f"{names.bucket(name)}/" for name in names.deployment.buckets.names]
    return {
        "Trail": resource(
            "AWS::CloudTrail::Trail",
            {
                "TrailName": names.of("trail"),
                "S3BucketName": names.trail_bucket,
                "IsLogging": True,
                "IsMultiRegionTrail": True,
                "IncludeGlobalServiceEvents": True,
                "EnableLogFileValidation": True,
                "EventSelectors": [
                    {
                        "IncludeManagementEvents": True,
                        "ReadWriteType": "All",
                        "DataResources": [{"Type": "AWS::S3::Object", "Values": objects}],
                    }
                ],
                "Tags": tags(names.deployment.stage),
            },
        )
    }


def trail_bucket_resources(names: Names) -> dict[str, Json]:
    """The trail's bucket, in the stack of the journal's administrator: locked for as long as the journal is."""
    arn = names.bucket(names.trail_bucket)
    service = {"Service": "cloudtrail.amazonaws.com"}
    from_trail = {"aws:SourceArn": names.trail}
    statements = [
        *transport_statements(arn),
        deny(
            "ReadByAdministratorOnly",
            ["s3:*Object*"],
            [f"{arn}/*"],
            {
                "ArnNotEquals": {"aws:PrincipalArn": names.settings.journal_administrator},
                "Bool": {"aws:PrincipalIsAWSService": "false"},
            },
        ),
        {
            "Sid": "TrailLooks",
            "Effect": "Allow",
            "Principal": service,
            "Action": ["s3:GetBucketAcl"],
            "Resource": [arn],
            "Condition": {"StringEquals": from_trail},
        },
        {
            "Sid": "TrailWrites",
            "Effect": "Allow",
            "Principal": service,
            "Action": ["s3:PutObject"],
            "Resource": [f"{arn}/AWSLogs/{names.settings.account}/*"],
            "Condition": {"StringEquals": {**from_trail, "s3:x-amz-acl": "bucket-owner-full-control"}},
        },
    ]
    return {
        "TrailBucket": resource(
            "AWS::S3::Bucket",
            bucket_properties(names, names.trail_bucket, names.deployment.retention_days),
            **RETAINED,
        ),
        "TrailBucketPolicy": resource(
            "AWS::S3::BucketPolicy",
            {"Bucket": ref("TrailBucket"), "PolicyDocument": policy(statements)},
            **RETAINED,
        ),
    }


def alarm_resources(names: Names) -> dict[str, Json]:
    """Who is told, and of what."""
    parts: dict[str, Json] = {
        "Alerts": resource(
            "AWS::SNS::Topic",
            {
                "TopicName": names.of("alerts"),
                "Subscription": [{"Endpoint": one, "Protocol": "email"} for one in names.settings.alert_contacts],
                "Tags": tags(names.deployment.stage),
            },
        ),
        "AlertsPolicy": resource(
            "AWS::SNS::TopicPolicy",
            {
                "Topics": [ref("Alerts")],
                "PolicyDocument": policy(
                    [
                        {
                            "Sid": "OurAlarms",
                            "Effect": "Allow",
                            "Principal": {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]},
                            "Action": ["sns:Publish"],
                            "Resource": ref("Alerts"),
                            "Condition": {"StringEquals": {"aws:SourceAccount": names.settings.account}},
                        }
                    ]
                ),
            },
        ),
        "GuardChanged": resource(
            "AWS::Events::Rule",
            {
                "Name": names.of("guard-changed"),
                "Description": "Sceau: what guards the data was changed",
                "State": "ENABLED",
                "EventPattern": {
                    "detail-type": ["AWS API Call via CloudTrail"],
                    "detail": {"eventName": _GUARD_CALLS},
                },
                "Targets": [{"Id": "alerts", "Arn": ref("Alerts")}],
            },
        ),
        "AlarmDeadLetters": _alarm(
            names,
            "dead-letters",
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            {"QueueName": attribute("DeadLetters", "QueueName")},
        ),
        "AlarmFront": _alarm(names, "front-5xx", "AWS/ApiGateway", "5XXError", {"ApiName": names.of("api")}),
    }
    for function in names.deployment.functions:
        name = {"FunctionName": names.of(function.name)}
        parts[camel("alarm", "errors", function.name)] = _alarm(
            names, f"{function.name}-errors", "AWS/Lambda", "Errors", name
        )
        parts[camel("alarm", "throttles", function.name)] = _alarm(
            names, f"{function.name}-throttles", "AWS/Lambda", "Throttles", name
        )
        if function.every:
            parts[camel("alarm", "silent", function.name)] = _silence(
                names, function.name, name, int(function.every.total_seconds())
            )
    return parts


def _alarm(names: Names, what: str, space: str, metric: str, dimensions: Mapping[str, Any]) -> Json:
    """Told when the sum of five minutes is more than nothing."""
    return resource(
        "AWS::CloudWatch::Alarm",
        {
            "AlarmName": names.of(what),
            "Namespace": space,
            "MetricName": metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            "Statistic": "Sum",
            "Period": 300,
            "EvaluationPeriods": 1,
            "Threshold": 0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [ref("Alerts")],
        },
    )


def _silence(names: Names, function: str, dimensions: Mapping[str, Any], every_seconds: int) -> Json:
    """Told when a scheduled function did not run for two of its periods."""
    alarm = _alarm(names, f"{function}-silent", "AWS/Lambda", "Invocations", dimensions)
    alarm["Properties"] |= {
        "Period": max(60, every_seconds),
        "EvaluationPeriods": 2,
        "Threshold": 1,
        "ComparisonOperator": "LessThanThreshold",
        "TreatMissingData": "breaching",
    }
    return alarm
