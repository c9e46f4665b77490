"""What SAM makes of the template: the API's body is valid, and two stacks can live side by side."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from tools.template import Resolver, pages, routes
from tools.translated import translated

PHYSICAL_NAMES = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::Scheduler::ScheduleGroup": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::KMS::Alias": "AliasName",
}
"""Where a resource says what it is called in its account and region."""


@pytest.fixture(scope="module", name="translated")
def _translated() -> dict[str, Any]:
    """The template as CloudFormation gets it."""
    return translated()


def test_the_api_s_body_is_valid_openapi(translated: dict[str, Any]) -> None:
    body = translated["Resources"]["HttpApi"]["Properties"]["Body"]
    assert [str(fault)[:300] for fault in OpenAPIV30SpecValidator(body).iter_errors()] == []


def test_the_api_s_body_has_each_route_once_and_no_other(translated: dict[str, Any]) -> None:
    body = translated["Resources"]["HttpApi"]["Properties"]["Body"]
    imported = {
        f"{method.upper()} {path}" for path, item in body["paths"].items() for method in item
    }
    assert imported == {route.key for route in (*routes(), *pages())}
    for path, item in body["paths"].items():
        for method, operation in item.items():
            assert "x-amazon-apigateway-integration" in operation, f"{method} {path} leads nowhere"


def test_a_warning_of_api_gateway_s_fails_no_deployment(translated: dict[str, Any]) -> None:
    assert not translated["Resources"]["HttpApi"]["Properties"].get("FailOnWarnings")


def names(translated: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for logical_id, resource in translated["Resources"].items():
        key = PHYSICAL_NAMES.get(resource["Type"])
        if key and key in resource.get("Properties", {}):
            yield logical_id, resource["Properties"][key]


def test_two_stacks_of_one_account_share_no_name(translated: dict[str, Any]) -> None:
    for logical_id, name in names(translated):
        assert "${AWS::StackName}" in json.dumps(name), f"{logical_id} is always called {name}"


def test_cloudformation_takes_so_many_resources_and_so_large_a_template(
    translated: dict[str, Any],
) -> None:
    assert len(translated["Resources"]) <= 500
    assert len(json.dumps(translated)) <= 1_000_000


def test_several_frontends_are_several_origins(translated: dict[str, Any]) -> None:
    rules = translated["Resources"]["HttpApi"]["Properties"]["Body"]["x-amazon-apigateway-cors"]
    resolve = Resolver({"FrontendUrl": "http://a.example,http://b.example"})
    assert resolve(rules["allowOrigins"]) == ["http://a.example", "http://b.example"]
    assert set(rules) == {
        "allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders", "maxAge",
    }  # fmt: skip


MANAGED = {
    # CreateLogStream, PutLogEvents: the log group is the function's own all the same.
    "service-role/AWSLambdaBasicExecutionRole",
    # PutTraceSegments: X-Ray has no resources to name.
    "AWSXRayDaemonWriteAccess",
    "AWSXrayWriteOnlyAccess",
}
"""The policies of AWS that are left in the roles: what they open on ``*`` is logs and traces."""


def test_no_role_has_a_policy_of_aws_but_for_logs_and_traces(translated: dict[str, Any]) -> None:
    roles = {
        name: resource["Properties"]
        for name, resource in translated["Resources"].items()
        if resource["Type"] == "AWS::IAM::Role"
    }
    assert "DispatchEventFunctionRole" in roles
    for name, role in roles.items():
        for arn in role.get("ManagedPolicyArns", ()):
            policy = json.dumps(arn).partition("policy/")[2].rstrip('"}] ')
            assert policy in MANAGED, f"{name}: {arn}"


def test_no_role_names_every_resource(translated: dict[str, Any]) -> None:
    for name, resource in translated["Resources"].items():
        for policy in resource.get("Properties", {}).get("Policies", ()):
            for statement in policy["PolicyDocument"]["Statement"]:
                assert statement["Resource"] != "*", f"{name}: {statement}"


def test_a_rollout_by_steps_is_codedeploys_and_an_alarm_takes_it_back() -> None:
    def of(**parameters: str) -> dict[str, Any]:
        made: dict[str, Any] = translated(parameters)["Resources"]
        return made

    at_once, by_steps = of(), of(ReceiverRollout="Canary10Percent5Minutes")
    groups = [
        each["Properties"]
        for each in by_steps.values()
        if each["Type"] == "AWS::CodeDeploy::DeploymentGroup"
    ]
    (group,) = groups
    assert group["AlarmConfiguration"]["Enabled"] is True
    alarms = {each["Name"]["Ref"] for each in group["AlarmConfiguration"]["Alarms"]}
    assert alarms == {
        "FailedDeliveriesAlarm", "ReceiveWebhookErrorsAlarm", "ReceiveWebhookThrottlesAlarm",
    }  # fmt: skip
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    assert (
        "CodeDeployLambdaAliasUpdate" in by_steps["ReceiveWebhookFunctionAliaslive"]["UpdatePolicy"]
    )
    assert not [each for each in at_once.values() if "CodeDeploy" in each["Type"]]
