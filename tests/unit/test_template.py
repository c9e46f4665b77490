"""The template: one name all the way, least privilege, and what guards data is on."""

import ast
import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from integrations.entry import metrics
from tools.template import (
    ROOT,
    Resolver,
    folder,
    pages,
    permissions,
    read,
    resources,
    routes,
    template,
)

FUNCTIONS = resources("AWS::Serverless::Function")
TABLES = resources("AWS::DynamoDB::Table")
QUEUES = resources("AWS::SQS::Queue")
FOLDERS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))


def logical_id(name: str) -> str:
    """``get_oauth_status`` → ``GetOAuthStatus``."""
    words = {"oauth": "OAuth", "openapi": "OpenApi"}
    return "".join(words.get(word, word.title()) for word in name.split("_"))


# -- One name all the way --------------------------------------------------------------------


def test_each_function_s_folder_is_one_lambda_and_each_lambda_one_folder() -> None:
    assert sorted(map(folder, FUNCTIONS.values())) == FOLDERS


@pytest.mark.parametrize("name", FOLDERS)
def test_a_function_has_one_name(name: str) -> None:
    function = FUNCTIONS[f"{logical_id(name)}Function"]
    assert function["CodeUri"] == f"functions/{name}/"
    group = {"Ref": f"{logical_id(name)}LogGroup"}
    assert function["LoggingConfig"]["LogGroup"] == group
    log_group = resources("AWS::Logs::LogGroup")[group["Ref"]]
    declared = template()["Resources"][group["Ref"]]
    assert (declared["DeletionPolicy"], declared["UpdateReplacePolicy"]) == ("Delete", "Delete")
    path = f"/aws/lambda/${{AWS::StackName}}-{name.replace('_', '-')}"
    assert log_group["LogGroupName"] == {"Fn::Sub": path}
    assert log_group["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_function_has_its_events_and_its_tests(name: str) -> None:
    assert list((ROOT / "events" / name).glob("*.json"))
    assert (ROOT / "tests" / "integration" / f"test_{name}.py").is_file()


def test_no_log_group_event_or_test_is_left_over() -> None:
    groups = {f"{logical_id(name)}LogGroup" for name in FOLDERS} | {"HttpApiLogGroup"}
    assert set(resources("AWS::Logs::LogGroup")) == groups
    assert {path.name for path in (ROOT / "events").iterdir() if path.is_dir()} <= set(FOLDERS)


@pytest.mark.parametrize("path", sorted((ROOT / "events").glob("*/*.json")), ids=lambda p: p.stem)
def test_an_event_is_json(path: Any) -> None:
    assert json.loads(path.read_text(encoding="utf-8"))


def test_what_comes_each_minute_is_not_tried_again_beside_the_next_one() -> None:
    timed = {
        name: function
        for name, function in FUNCTIONS.items()
        for source in function.get("Events", {}).values()
        if source["Type"] == "ScheduleV2"
    }
    assert timed
    for name, function in timed.items():
        (source,) = function["Events"].values()
        assert source["Properties"]["ScheduleExpression"] == "rate(1 minute)", name
        assert source["Properties"]["RetryPolicy"] == {"MaximumEventAgeInSeconds": 60}, name
        once = {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}
        assert function["EventInvokeConfig"] == once, name


@pytest.mark.parametrize(
    ("kind", "name", "longest"),
    [
        ("AWS::SQS::Queue", "QueueName", 80),
        ("AWS::Scheduler::ScheduleGroup", "Name", 64),
        ("AWS::Logs::LogGroup", "LogGroupName", 512),
        ("AWS::CloudWatch::Dashboard", "DashboardName", 255),
    ],
)
def test_a_stack_may_have_a_name_of_fifty_characters(kind: str, name: str, longest: int) -> None:
    assert "up to 50 characters" in (ROOT / "docs/deploying.md").read_text(encoding="utf-8")
    stack = "s" * 50
    stack_id = f"arn:aws:cloudformation:eu-central-1:123456789012:stack/{stack}/{uuid.uuid4()}"
    resolver = Resolver({"AWS::StackName": stack, "AWS::StackId": stack_id})
    named = [each[name] for each in resources(kind).values() if name in each]
    assert named
    assert all(stack in resolver(each) and len(resolver(each)) <= longest for each in named)


WRITTEN = {
    "AllowedRedirectUris",
    "ApplicationName",
    "ConsoleClientId",
    "ConsoleTokenOrigin",
    "FrontendUrl",
    "JwtAudience",
    "JwtDefaultScopes",
    "JwtIssuer",
    "JwtScopeClaim",
    "JwtTenantClaim",
    "PlatformTenant",
    "PublicBaseUrl",
}
"""The settings whose values are as long as whoever deploys likes."""


def longest(value: Any, stack: str) -> int:
    """How long a variable's value can be on AWS, the written ones left out."""
    declared = template()
    of_account = "ap-southeast-1:123456789012"
    match value:
        case str():
            return len(value)
        case {"Ref": "AWS::StackName"}:
            return len(stack)
        case {"Ref": name} if name in declared["Parameters"]:
            return 0 if name in WRITTEN else len(str(declared["Parameters"][name]["Default"]))
        case {"Ref": name}:
            address = f"https://sqs.{of_account}.amazonaws.com/" if name in QUEUES else ""
            return len(f"{address}{stack}-{name}-{'x' * 13}")
        case {"Fn::GetAtt": [name, _]}:
            return len(f"arn:aws:secretsmanager:{of_account}:secret:{stack}-{name}-{'x' * 13}")
        case {"Fn::If": [_, *values]}:
            return max(longest(each, stack) for each in values)
    raise AssertionError(value)


@pytest.mark.parametrize(("name", "room"), [(12, 1_300), (50, 500)])
def test_the_settings_leave_room_in_the_four_kilobytes_that_lambda_takes(
    name: int, room: int
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
    assert not any("Environment" in each for each in FUNCTIONS.values())
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    taken = sum(len(each) + longest(value, "s" * name) for each, value in variables.items())
    assert taken + room <= 4096, taken
    told = f"{room:,} characters with a stack's name of {name}"
    assert told in " ".join((ROOT / "docs/deploying.md").read_text(encoding="utf-8").split())


# -- Routes ----------------------------------------------------------------------------------


OF_WEBHOOKS = {
    ("verify_webhook", "GET /api/webhooks/{webhookId}/verify"),
    ("receive_webhook", "POST /api/webhooks/{webhookId}/"),
    *(
        ("receive_webhook", f"{method} /api/webhooks/{{webhookId}}{below}")
        for method in ("POST", "PUT", "PATCH", "DELETE")
        for below in ("", "/{path+}")
    ),
    *(
        ("verify_webhook", f"{method} /api/webhooks/{{webhookId}}{below}")
        for method in ("GET", "HEAD")
        for below in ("", "/", "/{path+}")
    ),
}
"""The routes of webhooks: senders use whatever method and path they like."""


def declared_in_code() -> Iterator[tuple[str, str]]:
    """The functions' own routes: the decorators, and the docstrings of those without."""
    for name in FOLDERS:
        tree = ast.parse((ROOT / "functions" / name / "app.py").read_text(encoding="utf-8"))
        docstring = ast.get_docstring(tree) or ""
        for method, path in re.findall(r"(GET|POST|PUT|DELETE) (/[^\s:,]*)", docstring):
            yield name, f"{method} {path}"


def decorated() -> Iterator[tuple[str, str]]:
    for name in FOLDERS:
        text = (ROOT / "functions" / name / "app.py").read_text(encoding="utf-8")
        for method, path in re.findall(r'@app\.(\w+)\(\s*"([^"]+)"', text):
            yield name, f"{method.upper()} {re.sub(r'<(\w+)>', r'{\1}', path)}"


def test_each_route_of_the_template_is_its_functions_docstring() -> None:
    expected = set(declared_in_code()) | OF_WEBHOOKS
    assert {(route.function, route.key) for route in (*routes(), *pages())} == expected


def test_each_decorated_route_is_the_template_s() -> None:
    assert set(decorated()) <= {(route.function, route.key) for route in routes()}


def test_only_what_a_provider_or_a_browser_calls_or_all_may_read_needs_no_token() -> None:
    assert {route.function for route in (*routes(), *pages()) if route.public} == {
        "complete_oauth",
        "deauthorize_account",
        "delete_account",
        "get_console",
        "get_deletion",
        "get_integration",
        "get_openapi",
        "list_integrations",
        "receive_webhook",
        "verify_webhook",
    }


def test_the_access_log_says_who_asked_for_what_and_no_query() -> None:
    settings = resources("AWS::Serverless::HttpApi")["HttpApi"]["AccessLogSettings"]
    line = json.loads(settings["Format"])
    assert set(line) >= {"requestId", "route", "path", "tenant", "status", "integrationError"}
    assert line["tenant"] == "$context.authorizer.tenant"
    assert line["integrationError"] == "$context.integrationErrorMessage"
    assert "query" not in settings["Format"].lower()


def test_there_is_no_way_to_switch_the_authorizer_off() -> None:
    auth = resources("AWS::Serverless::HttpApi")["HttpApi"]["Auth"]
    assert auth["DefaultAuthorizer"] in auth["Authorizers"]
    assert "AUTH" not in {
        name.partition("_")[0]
        for name in template()["Globals"]["Function"]["Environment"]["Variables"]
    }


# -- Permissions -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FOLDERS)
def test_a_role_names_every_action_and_every_resource(name: str) -> None:
    for each in permissions()[name]:
        for action in _texts(each.action):
            assert re.fullmatch(r"[a-z0-9]+:[A-Z]\w+", action), action
        resource = json.dumps(each.resource)
        assert resource != '"*"'
        assert not resource.startswith('"arn'), "an ARN is made of the stack's own names"


def _texts(node: Any) -> list[str]:
    match node:
        case str():
            return [node]
        case {"Fn::If": [_, yes, no]}:
            return [*_texts(yes), *_texts(no)]
    raise AssertionError(f"no action: {node}")


def test_a_star_stands_only_for_objects_and_schedules_below_a_name() -> None:
    starred = {
        (each.action, json.dumps(each.resource))
        for permission in permissions().values()
        for each in permission
        if "*" in json.dumps(each.resource)
    }
    for action, resource in starred:
        assert action.partition(":")[0] in {"s3", "scheduler"}, (action, resource)
        assert re.search(r"/(events|executions|payloads|wf_)?\*", resource), resource


@pytest.mark.parametrize(
    "name", ["get_credentials", "get_status", "get_oauth_status", "list_workflows", "get_workflow"]
)
def test_who_shows_may_not_decrypt(name: str) -> None:
    actions = {action for each in permissions()[name] for action in _texts(each.action)}
    assert not {action for action in actions if action.startswith(("kms:", "secretsmanager:"))}


def test_who_reads_a_tokens_row_is_the_authorizer_alone() -> None:
    users: dict[str, set[str]] = {}
    for name, permission in permissions().items():
        for each in permission:
            if "TokensTable" in json.dumps(each.resource):
                users.setdefault(name, set()).update(_texts(each.action))
    assert users == {
        "authorize_request": {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        "create_connect_session": {"dynamodb:PutItem"},
        "create_token": {"dynamodb:PutItem"},
        "delete_token": {"dynamodb:DeleteItem", "dynamodb:Query"},
        "export_tenant": {"dynamodb:Query"},
        "list_tokens": {"dynamodb:Query"},
        "run_erasure": {"dynamodb:DeleteItem", "dynamodb:Query", "dynamodb:Scan"},
    }


def test_who_carries_jobs_on_may_not_remove_what_a_tenant_has() -> None:
    actions = {action for each in permissions()["run_job"] for action in _texts(each.action)}
    assert not {each for each in actions if "Delete" in each} - {"sqs:DeleteMessage"}
    assert not {each for each in actions if each.startswith(("kms:", "secretsmanager:"))}


@pytest.mark.parametrize("route", [each for each in routes() if not each.public], ids=str)
def test_what_needs_a_token_can_be_audited_and_nobody_changes_the_log(route: Any) -> None:
    actions = {
        action
        for each in permissions()[route.function]
        if each.resource == {"Fn::GetAtt": ["AuditTable", "Arn"]}
        for action in _texts(each.action)
    }
    reading = {"dynamodb:Query"} if route.function == "list_audit" else set()
    assert actions == {"dynamodb:PutItem"} | reading


def test_each_use_of_the_key_is_for_named_things_alone() -> None:
    keys: dict[str, frozenset[str] | None] = {}
    for name, permission in permissions().items():
        for each in permission:
            if any(action.startswith("kms:") for action in _texts(each.action)):
                assert each.context_keys, name
                assert "tenant" in each.context_keys, name
                keys[name] = each.context_keys
    # What the world can reach without a token opens no credentials.
    for name in ("receive_webhook", "verify_webhook"):
        assert keys[name] == {"tenant", "webhook"}
    openers = {name for name, found in keys.items() if found and "secret" in found}
    assert openers == {"save_secret", "run_workflow"}


def test_nobody_reads_a_named_secret_but_the_runner() -> None:
    readers = {
        name
        for name, permission in permissions().items()
        for each in permission
        if "SecretsTable" in json.dumps(each.resource) and "dynamodb:GetItem" in _texts(each.action)
    }
    assert readers <= {"run_workflow"}


# -- Data ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_encrypted_restorable_and_kept(name: str) -> None:
    table = TABLES[name]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["SSESpecification"]["SSEType"] == "KMS"
    assert table["SSESpecification"]["KMSMasterKeyId"] == {"Fn::GetAtt": ["CredentialsKey", "Arn"]}
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    resource = template()["Resources"][name]
    assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert resource["UpdateReplacePolicy"] == "Retain"
    on_prod = Resolver({"Stage": "prod"})
    assert on_prod(table["DeletionProtectionEnabled"]) is True


@pytest.mark.parametrize(
    "name", ["HandshakesTable", "ExecutionsTable", "TokensTable", "AuditTable"]
)
def test_what_ends_has_a_time_to_live(name: str) -> None:
    assert TABLES[name]["TimeToLiveSpecification"] == {
        "AttributeName": "expiresAt",
        "Enabled": True,
    }


def test_the_key_rotates_and_the_bucket_is_closed() -> None:
    assert resources("AWS::KMS::Key")["CredentialsKey"]["EnableKeyRotation"] is True
    bucket = resources("AWS::S3::Bucket")["PayloadsBucket"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}


def test_every_object_of_the_bucket_has_its_time() -> None:
    bucket = resources("AWS::S3::Bucket")["PayloadsBucket"]
    rules = bucket["LifecycleConfiguration"]["Rules"]
    days = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    retention = {"Ref": "RetentionDays"}
    assert days == {
        "events/": 15,
        "messages/": 15,
        "payloads/": retention,
        "values/": retention,
        "files/": retention,
    }
    # What functions may write is under one of these.
    written = {
        str(resource).rpartition(".Arn}/")[2].partition("*")[0]
        for function in FUNCTIONS.values()
        for policy in function.get("Policies", ())
        for permission in policy["Statement"]
        if "s3:PutObject" in str(permission["Action"])
        for resource in [permission["Resource"]]
    }
    assert written
    assert {each[: each.find("/") + 1] for each in written} <= set(days)
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules)


def test_no_secret_is_a_variable_of_a_function() -> None:
    hidden = {name for name, each in template()["Parameters"].items() if each.get("NoEcho")}
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    assert not [name for name, permission in variables.items() if _refs(permission) & hidden]
    assert not any("Environment" in function for function in FUNCTIONS.values())


def _refs(node: Any) -> set[str]:
    match node:
        case {"Ref": str(name)}:
            return {name}
        case dict():
            return set().union(*map(_refs, node.values()))
        case list():
            return set().union(*map(_refs, node))
    return set()


def test_every_secret_parameter_is_hidden() -> None:
    for name, parameter in template()["Parameters"].items():
        if re.search(r"Secret|Pass|Token$", name):
            assert parameter.get("NoEcho") is True, name
        assert parameter["Description"].endswith("."), name


@pytest.mark.parametrize("stage", ["dev", "prod", "staging"])
def test_no_stage_but_the_local_one_may_reach_loopback(stage: str) -> None:
    variables = template()["Globals"]["Function"]["Environment"]["Variables"]
    resolve = Resolver({"Stage": stage, "AllowLoopback": "true"})
    assert resolve(variables["ALLOW_LOOPBACK"]) == "false"
    local = Resolver({"Stage": "local", "AllowLoopback": "true"})
    assert local(variables["ALLOW_LOOPBACK"]) == "true"


GOOD = {
    "Stage": "prod",
    "PublicBaseUrl": "https://api.example.com",
    "FrontendUrl": "https://app.example.com",
    "AlarmTopicArn": "arn:aws:sns:us-east-1:123456789012:alarms",
}


def refused(parameters: dict[str, str]) -> list[str]:
    """What the rule of prod says of parameters; CloudFormation's own functions, carried out."""

    def holds(node: Any) -> Any:
        match node:
            case {"Ref": name}:
                default = template()["Parameters"][name].get("Default", "")
                return parameters.get(name, default)
            case {"Fn::Equals": [first, second]}:
                return holds(first) == holds(second)
            case {"Fn::Not": [inner]}:
                return not holds(inner)
            case {"Fn::Contains": [several, one]}:
                return holds(one) in several
        return node

    rule = template()["Rules"]["ProdIsReachable"]
    if not holds(rule["RuleCondition"]):
        return []
    return [each["AssertDescription"] for each in rule["Assertions"] if not holds(each["Assert"])]


@pytest.mark.parametrize(
    ("url", "is_taken"),
    [
        ("https://api.example.com", True),
        ("http://localhost:3000", True),
        ("", True),
        ("https://api.example.com/", False),
        ("https://api.example.com/v1", False),
    ],
)
def test_the_api_is_mapped_at_the_root_of_its_domain(url: str, *, is_taken: bool) -> None:
    pattern = template()["Parameters"]["PublicBaseUrl"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, url)) is is_taken


def test_a_budget_needs_somebody_who_hears_of_it() -> None:
    rule = template()["Rules"]["BudgetIsHeard"]
    assert "MonthlyBudget" in json.dumps(rule["RuleCondition"])
    assert "AlarmTopicArn" in json.dumps(rule["Assertions"])


def test_a_budget_can_be_replaced() -> None:
    """Who hears of it can only be changed by another one, which comes before the first one goes."""
    assert "BudgetName" not in template()["Resources"]["Budget"]["Properties"]["Budget"]


@pytest.mark.parametrize("missing", ["PublicBaseUrl", "FrontendUrl", "AlarmTopicArn"])
def test_prod_needs_its_addresses_and_somebody_who_hears_of_alarms(missing: str) -> None:
    assert refused(GOOD) == []
    (problem,) = refused({name: each for name, each in GOOD.items() if name != missing})
    assert missing in problem
    assert refused({"Stage": "dev"}) == []


@pytest.mark.parametrize("name", ["PublicBaseUrl", "FrontendUrl"])
@pytest.mark.parametrize("url", ["http://localhost:3000", "http://127.0.0.1:5173", "http://[::1]"])
def test_prod_is_not_this_machine(name: str, url: str) -> None:
    (problem,) = refused(GOOD | {name: url})
    assert name in problem


# -- Queues ----------------------------------------------------------------------------------


def consumers() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for source in resources("AWS::Lambda::EventSourceMapping").values():
        name = source["FunctionName"]["Ref"]
        yield name, FUNCTIONS[name], source


def test_each_queue_waits_six_times_its_consumers_time() -> None:
    assert {folder(function) for _, function, _ in consumers()} == {
        "dispatch_event",
        "run_erasure",
        "run_job",
        "run_workflow",
    }
    for _, function, source in consumers():
        queue = QUEUES[source["EventSourceArn"]["Fn::GetAtt"][0]]
        assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def sent_to(function: dict[str, Any]) -> set[str]:
    """The queues that a function may send messages to."""
    statements = [each for policy in function["Policies"] for each in policy["Statement"]]
    return {
        each["Resource"]["Fn::GetAtt"][0]
        for each in statements
        if "sqs:SendMessage" in json.dumps(each["Action"])
    }


def test_who_sends_to_the_queue_that_it_reads_is_not_taken_for_an_endless_loop() -> None:
    """Lambda drops a message after some 16 in a chain; ours wait, go on and are put back so often.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html; what guards us is the
    count of hops, for loops through HTTP as well.
    """
    for name, function, source in consumers():
        own = source["EventSourceArn"]["Fn::GetAtt"][0]
        allowed = function.get("RecursiveLoop", "Terminate") == "Allow"
        assert allowed == (own in sent_to(function)), name


def test_the_receivers_rollout_lasts_longer_than_its_alarms_take() -> None:
    settings = (ROOT / "samconfig.toml").read_text(encoding="utf-8")
    (minutes,) = re.findall(r"ReceiverRollout=Canary10Percent(\d+)Minutes", settings)
    alarms = resources("AWS::CloudWatch::Alarm")
    preference = FUNCTIONS["ReceiveWebhookFunction"]["DeploymentPreference"]
    for each in preference["Alarms"]:
        alarm = alarms[each["Ref"]]
        assert alarm["Period"] * alarm["EvaluationPeriods"] < int(minutes) * 60, each


def test_a_run_is_over_in_two_minutes() -> None:
    """What a tenant's share of the runners is reckoned with: see ``services/shares.py``."""
    assert FUNCTIONS["RunWorkflowFunction"]["Timeout"] <= 120


def test_a_tenant_s_share_leaves_most_of_the_runners_to_others() -> None:
    """In the worst moment a tenant has its share twice."""
    parameters = template()["Parameters"]
    share = parameters["MaxRunnersPerTenant"]["Default"]
    assert 2 * share <= parameters["MaxRunners"]["Default"] / 2


def test_each_queue_has_a_dead_letter_queue_with_an_alarm() -> None:
    alarms = json.dumps(resources("AWS::CloudWatch::Alarm"))
    letters = set()
    for name, queue in QUEUES.items():
        if "RedrivePolicy" in queue:
            target = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
            letters.add(target)
            assert target in alarms, name
        assert queue["MessageRetentionPeriod"] == 1_209_600
        assert queue["SqsManagedSseEnabled"] is True
    served = {name for name, queue in QUEUES.items() if "RedrivePolicy" in queue}
    assert set(QUEUES) == letters | served | {"SchedulesDeadLetterQueue"}


def test_who_may_send_to_dead_letters_is_named() -> None:
    resolve = Resolver(
        {
            "AWS::StackName": "shop",
            "AWS::StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/shop/5e1f-0a-0",
            "AWS::Partition": "aws",
            "AWS::Region": "us-east-1",
            "AWS::AccountId": "123456789012",
        }
    )
    senders: dict[str, list[str]] = {}
    for queue in QUEUES.values():
        if "RedrivePolicy" in queue:
            name = resolve(queue["QueueName"])
            assert name.startswith("shop-")
            assert name.endswith("-5e1f")
            target = queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
            arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
            senders.setdefault(target, []).append(arn)
    for target, arns in senders.items():
        allowed = resolve(QUEUES[target]["RedriveAllowPolicy"])
        assert allowed == {"redrivePermission": "byQueue", "sourceQueueArns": arns}
    # Scheduler sends there as any sender does.
    by_schedule = QUEUES["SchedulesDeadLetterQueue"]["RedriveAllowPolicy"]
    assert by_schedule == {"redrivePermission": "denyAll"}


def test_a_redrive_is_promised_only_of_what_came_from_a_queue() -> None:
    """SQS moves dead letters of its own queues alone, not what another service sent."""
    letters = {
        queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for queue in QUEUES.values()
        if "RedrivePolicy" in queue
    }
    promised = {
        output["Value"]["Fn::GetAtt"][0]
        for output in template()["Outputs"].values()
        if "for a redrive" in output.get("Description", "")
    }
    assert promised == letters


@pytest.mark.parametrize(
    "kind",
    [
        "AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::S3::Bucket", "AWS::SQS::Queue",
        "AWS::SecretsManager::Secret",
    ],
)  # fmt: skip
def test_what_holds_data_stays_when_the_stack_goes(kind: str) -> None:
    found = [each for each in template()["Resources"].values() if each["Type"] == kind]
    assert found
    for each in found:
        assert each["DeletionPolicy"] == "RetainExceptOnCreate"
        assert each["UpdateReplacePolicy"] == "Retain"


def test_no_queue_takes_what_comes_unencrypted() -> None:
    (policy,) = resources("AWS::SQS::QueuePolicy").values()
    assert [each["Ref"] for each in policy["Queues"]] == list(QUEUES)


def test_no_flood_takes_all_functions() -> None:
    for name, _, source in consumers():
        condition, scaling, _ = source["ScalingConfig"]["Fn::If"]
        assert condition == "IsOnAws"
        if name in {"RunJobFunction", "RunErasureFunction"}:
            assert scaling["MaximumConcurrency"] == 10
        else:
            assert scaling["MaximumConcurrency"]["Ref"] in template()["Parameters"]
    for name in ("ReceiveWebhookFunction", "AuthorizeRequestFunction"):
        reserved = FUNCTIONS[name]["ReservedConcurrentExecutions"]["Fn::If"]
        assert reserved[:2] == ["ReservesConcurrency", {"Ref": "ReservedConcurrency"}]


# -- Alarms ----------------------------------------------------------------------------------

COMPOSITES = resources("AWS::CloudWatch::CompositeAlarm")
PARTS = {
    part
    for each in COMPOSITES.values()
    for part in re.findall(r"\$\{(\w+)\}", each["AlarmRule"]["Fn::Sub"])
}
"""What only a composite alarm looks at."""
SINGLE = resources("AWS::CloudWatch::Alarm")
ALARMS = {name: each for name, each in SINGLE.items() if name not in PARTS} | COMPOSITES
RUNBOOKS = ROOT / "docs" / "runbooks"


TOPIC = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}


def page_of(alarm: str) -> str:
    """``EventsAgeAlarm`` → ``events-age.md``."""
    words = re.sub(r"(?<!^)(?=[A-Z])", "-", alarm.removesuffix("Alarm")).lower()
    return f"{words}.md"


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_an_alarm_tells_when_it_begins_and_ends_and_has_a_runbook(name: str) -> None:
    alarm = ALARMS[name]
    assert alarm["AlarmActions"] == alarm["OKActions"] == TOPIC
    if name in SINGLE:
        missing = "breaching" if name.endswith("StoppedAlarm") else "notBreaching"
        assert alarm["TreatMissingData"] == missing
    text = (RUNBOOKS / page_of(name)).read_text(encoding="utf-8")
    assert name in text
    for heading in ("## What it means", "## See it", "## What to do", "## When it is over"):
        assert heading in text, heading


def test_a_part_of_an_alarm_is_silent_and_is_one_of_the_stack() -> None:
    assert set(SINGLE) >= PARTS
    for name in PARTS:
        assert not {"AlarmActions", "OKActions"} & SINGLE[name].keys()


def of_ours() -> Iterator[dict[str, Any]]:
    """Every metric of our own that an alarm looks at."""
    for alarm in SINGLE.values():
        stats = [each.get("MetricStat", {}).get("Metric", {}) for each in alarm.get("Metrics", ())]
        for metric in [alarm, *stats]:
            if metric.get("Namespace") == metrics.NAMESPACE:
                yield metric


def test_alarms_and_dashboard_ask_for_metrics_that_are_written() -> None:
    written = {
        (name, frozenset({"stack", *parts}))
        for each in metrics.METRICS.values()
        for name, _, _, sets in each
        for parts in sets
    }
    asked = {
        (each["MetricName"], frozenset(part["Name"] for part in each["Dimensions"]))
        for each in of_ours()
    }
    assert asked
    assert asked <= written
    (dashboard,) = resources("AWS::CloudWatch::Dashboard").values()
    text = dashboard["DashboardBody"]["Fn::Sub"]
    drawn = {
        (name, frozenset(re.findall(r'"([a-z]+)", "', f"{parts}, ")))
        for name, parts in re.findall(r'\["Integrations", "(\w+)", (.*?), \{"label', text)
    }
    searched = {
        (name, frozenset(names.split(",")))
        for names, name in re.findall(r'\{Integrations,([a-z,]+)\} MetricName=\\"(\w+)', text)
    }
    assert drawn
    assert searched
    assert drawn | searched <= written


@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_burn_rate_looks_at_a_long_and_a_short_window(name: str) -> None:
    """2 % of 30 days' share in an hour, 5 % in six hours; the short window is a twelfth.

    https://sre.google/workbook/alerting-on-slos/
    """
    windows = {
        "FastBurnLong": (3600, 14.4),
        "FastBurnShort": (300, 14.4),
        "SlowBurnLong": (21600, 6),
        "SlowBurnShort": (1800, 6),
    }
    part = SINGLE[name]
    seconds, rate = next(each for end, each in windows.items() if name.endswith(end))
    assert {each["MetricStat"]["Period"] for each in part["Metrics"][1:]} == {seconds}
    assert part["EvaluationPeriods"] == 1
    assert part["Threshold"] == pytest.approx(rate * 0.1), "per cent, of 0.1 to spare"


def test_no_runbook_is_left_over() -> None:
    about_alarms = {page_of(name) for name in ALARMS}
    others = {
        "README.md",
        "noisy-tenant.md",
        "provider-down.md",
        "region-loss.md",
        "restore.md",
        "rollback.md",
        "throttling.md",
    }
    assert {path.name for path in RUNBOOKS.iterdir()} == about_alarms | others


def test_the_dashboard_is_json_and_asks_for_what_exists() -> None:
    (dashboard,) = resources("AWS::CloudWatch::Dashboard").values()
    text = dashboard["DashboardBody"]["Fn::Sub"]
    names = set(re.findall(r"\$\{([A-Za-z]+)(?:\.\w+)?\}", text))
    assert names <= set(template()["Resources"]), "it names what the stack has"
    body = json.loads(re.sub(r"\$\{[^}]+\}", "name", text))
    titles = [
        each["properties"].get("title") for each in body["widgets"] if each["type"] == "metric"
    ]
    assert all(titles)
    assert len(titles) == len(set(titles))


def test_payloads_outlive_the_messages_that_point_to_them() -> None:
    days = template()["Parameters"]["RetentionDays"]
    assert days["MinValue"] * 24 * 3600 > 1_209_600
    assert days["Default"] >= days["MinValue"]


def test_a_name_that_stands_twice_is_found() -> None:
    with pytest.raises(yaml.constructor.ConstructorError, match="twice: A"):
        read("Resources:\n  A: {Type: x}\n  B: {Type: x}\n  A: {Type: y}\n")
    assert read("A: !Ref B") == {"A": {"Ref": "B"}}
