"""Where settings come from, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest

from baken.accounts import Role
from baken.errors import SettingError
from baken.model import UnscreenableReason, Verdict
from baken.settings import SECRET_NAMES, Settings, load


def test_defaults_are_safe():
    settings = load({})
    assert settings.host == "127.0.0.1"
    verdicts = settings.unscreenable_verdicts()
    assert set(verdicts) == set(UnscreenableReason)
    assert [reason for reason, verdict in verdicts.items() if verdict is not Verdict.HOLD] == [
        UnscreenableReason.LOW_QUALITY
    ]


def test_an_argument_wins_over_the_environment_and_the_environment_over_the_file(tmp_path: Path):
    (tmp_path / "baken.toml").write_text("port = 1\nhost = '0.0.0.0'\nworkers = 3\n")
    settings = load({"BAKEN_PORT": "2", "BAKEN_HOST": "::1"}, data_dir=tmp_path, port=4)
    assert (settings.port, settings.host, settings.workers) == (4, "::1", 3)


def test_an_argument_that_was_not_given_changes_nothing(tmp_path: Path):
    assert load({"BAKEN_PORT": "2"}, data_dir=tmp_path, port=None).port == 2


def test_sqlite_in_the_data_folder_is_the_default_database(tmp_path: Path):
    assert load({}, data_dir=tmp_path).resolved_database_url == f"sqlite:///{tmp_path / 'baken.sqlite3'}"


def test_a_secret_can_come_from_a_file(tmp_path: Path):
    (tmp_path / "url").write_text("postgresql+psycopg://u:secret@h/d\n")
    settings = load({"BAKEN_DATABASE_URL_FILE": str(tmp_path / "url")})
    assert settings.resolved_database_url == "postgresql+psycopg://u:secret@h/d"
    assert "u:secret" not in repr(settings)


def test_a_secret_file_that_is_missing_is_named(tmp_path: Path):
    with pytest.raises(SettingError, match="BAKEN_DATABASE_URL_FILE names the file"):
        load({"BAKEN_DATABASE_URL_FILE": str(tmp_path / "nothing")})


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("BAKEN_PORT", "many", "the setting port from the variable BAKEN_PORT is 'many'"),
        ("BAKEN_VERDICT_EMPTY", "clear", "the setting verdict_empty from the variable BAKEN_VERDICT_EMPTY is 'clear'"),
        ("BAKEN_REQUIRE_SECOND_FACTOR_ROLES", "admin,boss", "'boss' is not a valid Role"),
        ("BAKEN_ACCESS_LOG", "yes", "must be exactly true or false, got 'yes'"),
    ],
)
def test_a_wrong_value_names_the_setting_its_origin_and_what_was_given(variable: str, value: str, expected: str):
    with pytest.raises(SettingError, match=expected):
        load({variable: value})


def test_a_wrong_secret_is_not_shown():
    with pytest.raises(SettingError) as caught:
        load({}, database_url=["hunter2"])
    assert "hunter2" not in str(caught.value) + caught.value.hint


def test_an_unknown_name_in_the_file_is_an_error(tmp_path: Path):
    (tmp_path / "baken.toml").write_text("prot = 1\n")
    with pytest.raises(SettingError, match=r"the setting prot from '.*baken.toml'"):
        load({}, data_dir=tmp_path)


def test_a_file_that_is_no_toml_is_an_error(tmp_path: Path):
    (tmp_path / "baken.toml").write_text("port =")
    with pytest.raises(SettingError, match="cannot be read"):
        load({}, data_dir=tmp_path)


def test_every_secret_name_is_a_setting():
    assert set(SECRET_NAMES) <= set(Settings.model_fields)


def test_roles_are_read_in_any_order_and_none_is_none(tmp_path: Path):
    for text, roles in (("lead, admin,", {Role.LEAD, Role.ADMIN}), ("", set())):
        assert load({"BAKEN_REQUIRE_SECOND_FACTOR_ROLES": text}, data_dir=tmp_path).two_factor_roles == roles
    assert load({}, data_dir=tmp_path).two_factor_roles == set(Role)


def test_the_secret_of_the_identity_provider_is_told_nowhere(tmp_path: Path):
    (tmp_path / "secret").write_text("hidden-thing\n")
    settings = load({"BAKEN_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret")}, data_dir=tmp_path)

    assert settings.oidc_client_secret is not None
    assert settings.oidc_client_secret.get_secret_value() == "hidden-thing"
    assert "hidden-thing" not in repr(settings) + str(settings.told())
