"""What ``make deploy`` tells SAM."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from local import deploy
from local.errors import PlatformError
from local.paths import ROOT


def parameters(*arguments: str, stage: str = "default", architecture: str = "x86_64") -> set[str]:
    passed = deploy.command(stage, architecture, arguments, "built")
    return set(passed[passed.index("--parameter-overrides") + 1 :])


@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
@pytest.mark.parametrize(("stage", "named"), [("default", "dev"), ("prod", "prod")])
def test_what_is_built_is_what_is_deployed(architecture: str, stage: str, named: str) -> None:
    passed = parameters(stage=stage, architecture=architecture)
    assert {f"Architecture={architecture}", f"Stage={named}"} <= passed


def test_another_architecture_than_the_built_one_is_refused() -> None:
    with pytest.raises(PlatformError, match="ARCHITECTURE=x86_64 is built"):
        parameters("--parameter-overrides", "Architecture=arm64")


def test_parameters_of_the_command_line_win_and_other_options_stay() -> None:
    given = ["--no-execute-changeset", "--parameter-overrides", "Stage=x", "LogLevel=DEBUG"]
    passed = deploy.command("default", "arm64", [*given, "--profile", "me"], "built")
    assert passed[:6] == [
        "deploy", "--config-env", "default", "--no-execute-changeset", "--profile", "me"
    ]  # fmt: skip
    assert {"Stage=x", "LogLevel=DEBUG"} <= set(passed)
    assert "Stage=dev" not in passed


def test_a_change_of_parameters_alone_is_another_revision() -> None:
    def revision(*arguments: str) -> set[str]:
        return {each for each in parameters(*arguments) if each.startswith("Revision=")}

    assert revision() == revision()
    assert revision() != revision("--parameter-overrides", "LogLevel=DEBUG")
    assert revision("--parameter-overrides", "Revision=own") == {"Revision=own"}


def test_a_file_of_parameters_is_passed_on_and_its_change_is_another_revision(
    tmp_path: Path,
) -> None:
    file = tmp_path / "prod.yaml"
    passed = []
    for level in ("DEBUG", "INFO"):
        file.write_text(f"LogLevel: {level}\n", encoding="utf-8")
        passed.append(parameters("--parameter-overrides", f"file://{file}", stage="prod"))
        assert {f"file://{file}", "Stage=prod", "Architecture=x86_64"} < passed[-1]
    assert passed[0] != passed[1]
    with pytest.raises(PlatformError, match="no file"):
        parameters("--parameter-overrides", "file://nowhere.yaml")


def test_a_value_with_spaces_stays_one() -> None:
    passed = parameters("--parameter-overrides", "ApplicationName=My shop")
    assert 'ApplicationName="My shop"' in passed


def test_several_parameters_in_one_text_stay_several() -> None:
    both = "ParameterKey=LogLevel,ParameterValue=DEBUG ParameterKey=Stage,ParameterValue=x"
    assert both in parameters("--parameter-overrides", both)
    assert "LogLevel=DEBUG Stage=x" in parameters("--parameter-overrides", "LogLevel=DEBUG Stage=x")
    name = "ParameterKey=ApplicationName,ParameterValue="
    assert f'{name}"My shop"' in parameters("--parameter-overrides", f"{name}My shop")


@pytest.mark.parametrize("name", ["PublicBaseUrl", "FrontendUrl"])
@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:5173",
        "https://LOCALHOST.:8443",
        "http://shop.localhost",
        "http://127.0.0.1:8080",
        "http://127.1",
        "http://2130706433:3000",
        "http://[::1]:5173",
        "http://[::ffff:127.0.0.1]",
        "http://0.0.0.0:3000",
        "https://app.example.com,http://localhost:9",
    ],
)
def test_prod_does_not_lead_to_this_machine_in_any_form(name: str, url: str) -> None:
    given = ["--parameter-overrides", f"{name}={url}"]
    with pytest.raises(PlatformError, match=name):
        parameters(*given, stage="prod")
    parameters(*given)
    parameters("--parameter-overrides", f"{name}=https://127.example.com", stage="prod")


@pytest.mark.parametrize(
    "text",
    [
        "Stage: prod\nFrontendUrl: http://localhost:5173\n",
        "Stage: prod\nFrontendUrl: https://app.example.com,http://127.1\n",
        "Stage: prod\nFrontendUrl: [https://app.example.com, 'http://127.1']\n",
        "- Stage: prod\n- [FrontendUrl: 'http://[::1]']\n",
        "- Stage=prod FrontendUrl=http://localhost:9\n",
        "- ParameterKey=Stage,ParameterValue=prod\n- 'FrontendUrl=\"http://localhost:9\"'\n",
        "Stage: prod\nPublicBaseUrl: https://2130706433\nFrontendUrl: https://app.example.com\n",
    ],
)
def test_what_a_file_says_is_judged_like_what_the_command_line_says(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "prod.yaml"
    file.write_text(text, encoding="utf-8")
    for given in ([f"file://{file}"], ["Stage=dev", f"file://{file}"]):
        with pytest.raises(PlatformError, match="must not lead to this machine"):
            parameters("--parameter-overrides", *given)
    parameters("--parameter-overrides", f"file://{file}", "Stage=dev")


@pytest.mark.parametrize("include", ["file://addresses.toml", "['file://addresses.toml']"])
def test_what_a_file_includes_is_judged_and_makes_another_revision(
    tmp_path: Path, include: str
) -> None:
    file, included = tmp_path / "prod.yaml", tmp_path / "addresses.toml"
    file.write_text(f"$include: {include}\n", encoding="utf-8")
    passed = []
    for url in ("https://a.example.com", "https://b.example.com"):
        included.write_text(f'FrontendUrl = "{url}"\n', encoding="utf-8")
        passed.append(parameters("--parameter-overrides", f"file://{file}", stage="prod"))
    assert passed[0] != passed[1]
    listed = 'FrontendUrl = ["https://a.example.com", "http://127.1"]\n'
    included.write_text(listed, encoding="utf-8")
    with pytest.raises(PlatformError, match="FrontendUrl"):
        parameters("--parameter-overrides", f"file://{file}", stage="prod")
    included.write_text("Architecture = 'arm64'\n", encoding="utf-8")
    with pytest.raises(PlatformError, match="ARCHITECTURE=x86_64 is built"):
        parameters("--parameter-overrides", f"file://{file}")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("prod.json", "{}", "yaml"),
        ("prod.yaml", "Stage: [prod", "cannot be read"),
        ("prod.toml", "Stage = prod", "cannot be read"),
        ("prod.yaml", "$include: file://prod.yaml", "includes itself"),
        ("prod.yaml", "prod", "no parameter"),
        ("prod.yaml", "- 7", "no parameter"),
    ],
)
def test_a_file_that_nobody_can_judge_is_refused(
    tmp_path: Path, name: str, text: str, why: str
) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PlatformError, match=why):
        parameters("--parameter-overrides", f"file://{file}")


@pytest.mark.parametrize(
    "given",
    [
        ["--parameter-overrides=FrontendUrl=http://localhost:9"],
        ["--parameter-overrides", "ParameterKey=FrontendUrl,ParameterValue=http://localhost:9"],
        ["--parameter-overrides", "FrontendUrl='http://localhost:9'"],
        ["--parameter-overrides", 'LogLevel="INFO" FrontendUrl=http://localhost:9'],
    ],
)
def test_prod_is_judged_however_sam_lets_a_parameter_be_written(given: list[str]) -> None:
    with pytest.raises(PlatformError, match="FrontendUrl"):
        parameters(*given, stage="prod")


def test_of_two_ways_to_set_a_parameter_the_later_one_wins(tmp_path: Path) -> None:
    file = tmp_path / "prod.yaml"
    file.write_text("LogLevel: DEBUG\n", encoding="utf-8")
    given = [f"file://{file}", "ParameterKey=Stage,ParameterValue=x", "LogLevel=INFO"]
    passed = deploy.command("default", "arm64", ["--parameter-overrides", *given], "built")
    assert passed[passed.index("--parameter-overrides") + 1 :][:3] == given
    assert "Stage=dev" not in passed


def test_an_unknown_stage_is_named() -> None:
    with pytest.raises(PlatformError, match="no stage moon"):
        parameters(stage="moon")


def jobs() -> dict[str, Any]:
    text = (ROOT / ".github" / "workflows" / "deploy.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return found


def test_githubs_workflow_deploys_as_make_deploy_does() -> None:
    """Without a ``Revision`` of the build, a new version of the receiver would get no traffic."""
    runs = [step["run"] for job in jobs().values() for step in job["steps"] if "run" in step]
    assert sum("make deploy STAGE=" in run for run in runs) == 2
    assert not [
        run
        for run in runs
        if "local.sam deploy" in run or "sam deploy" in run.replace("`sam deploy`", "")
    ]


def test_a_revision_that_is_deployed_already_can_still_show_that_it_works() -> None:
    """A stage's first run has no token for the smoke test; the next one has nothing to deploy."""
    job = jobs()["deploy"]
    assert "if" not in job
    only = {step["name"]: step["if"] for step in job["steps"] if "if" in step}
    assert only.pop("Execute the change set") == "needs.change-set.outputs.id != ''"
    assert list(only) == ["The last revision that worked", "Roll back to it"]


def test_a_run_that_has_changed_nothing_rolls_nothing_back() -> None:
    steps = jobs()["deploy"]["steps"]
    for step in steps[-2:]:
        assert step["if"] == (
            "failure() && steps.execute.conclusion == 'success'"
            " && steps.smoke.conclusion == 'failure'"
        )
    ids = {step["name"]: step.get("id") for step in steps if "name" in step}
    assert (ids["Execute the change set"], ids["Smoke test"]) == ("execute", "smoke")
