"""The frame of the command line: exit codes, languages, JSON, speed; run as people run it."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hygie import __version__
from hygie.base import files
from hygie.base.errors import HygieError, SettingsError
from hygie.cli import main as module
from hygie.cli.frame import default_data
from hygie.cli.main import ORDER, hoist

COMMANDS = [p for p in Path(module.commands.__path__[0]).glob("*.py") if p.stem != "__init__"]


def hygie(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in os.environ.items() if k not in {"LANG", "LC_ALL", "LC_MESSAGES", "HYGIE_DATA"}}
    return subprocess.run(
        [sys.executable, "-m", "hygie", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=variables | environ,
    )


def test_init_prepares_a_private_installation_and_answers_a_machine(tmp_path: Path) -> None:
    data = tmp_path / "d"
    done = hygie("init", "--json", "--data", str(data))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["settings"] == str(data / "hygie.toml")
    assert {p.name for p in data.iterdir()} >= {"hygie.toml", "kms", "sites", "witness", "backup", "tls", "logs"}
    assert all(p.stat().st_mode & 0o077 == 0 for p in [data, *data.rglob("*")])


def test_init_never_writes_over_an_installation(tmp_path: Path) -> None:
    hygie("--data", str(tmp_path), "init")
    before = (tmp_path / "hygie.toml").read_bytes()
    again = hygie("init", "--port", "9000", "--data", str(tmp_path), "--lang", "fr")
    assert again.returncode == 60
    assert "HYG-690" in again.stderr
    assert "installation" in again.stderr
    assert (tmp_path / "hygie.toml").read_bytes() == before


def test_init_never_takes_a_trial_for_a_production(tmp_path: Path) -> None:
    """Shares may be asked later; the settings that are there say what the installation is."""
    data = ("--json", "--data", str(tmp_path / "d"), "--lang", "en")
    assert hygie(*data, "init").returncode == 0
    refused = hygie(*data, "init", "--production", "--shares", "3")
    assert (refused.returncode, json.loads(refused.stderr)["error"]["code"]) == (60, "HYG-690")
    assert not list((tmp_path / "d" / "kms").iterdir())
    assert len(json.loads(hygie(*data, "init", "--shares", "3").stdout)["shares"]) == 3


def test_shares_that_could_not_all_be_written_leave_neither_files_nor_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command again, once there is room, finds nothing in its way."""
    into = tmp_path / "usb"
    words = ["init", "--data", str(tmp_path / "d"), "--shares", "3", "--shares-into", str(into)]
    written = files.write_durably

    def full(path: Path, data: bytes, **more: int) -> None:
        if path.name == "share-2.txt":
            raise OSError(28, "No space left on device")
        written(path, data, **more)

    monkeypatch.setattr("hygie.base.hardening.harden_process", lambda: None)  # it is for a process of its own
    with monkeypatch.context() as small:
        small.setattr(files, "write_durably", full)
        with pytest.raises(SystemExit) as ended:
            module.main(words)
    assert ended.value.code == 60
    assert not list(into.iterdir())
    assert not list((tmp_path / "d" / "kms").iterdir())
    with pytest.raises(SystemExit) as ended:
        module.main(words)
    assert ended.value.code == 0
    assert len(list(into.iterdir())) == 3


@pytest.mark.parametrize(
    ("secret", "mode", "code"),
    [
        ("motdepasse", 0o600, "HYG-601"),
        ("girafe lampion cuivre orage tiroir", 0o644, "HYG-605"),
        ("", 0o600, "HYG-607"),
    ],
)
def test_init_refuses_a_weak_production_and_writes_nothing(tmp_path: Path, secret: str, mode: int, code: str) -> None:
    key = tmp_path / "key"
    key.write_text(secret)
    key.chmod(mode)
    data = tmp_path / "d"
    done = hygie("init", "--production", "--credential", str(key), "--json", "--data", str(data))
    assert done.returncode == 60
    error = json.loads(done.stderr)["error"]
    # A machine with clear swap is refused for that first: true as well, and written nothing either.
    assert error["code"] in {code, "HYG-606"}
    assert not secret or secret not in done.stderr
    assert not data.exists()


def test_init_takes_settings_from_a_file_and_refuses_weak_ones(tmp_path: Path) -> None:
    hygie("init", "--data", str(tmp_path / "a"))
    good = (tmp_path / "a" / "hygie.toml").read_text()
    (tmp_path / "good.toml").write_text(good.replace("8443", "9443"))
    (tmp_path / "weak.toml").write_text(good.replace("quorum = 2", "quorum = 1"))
    assert hygie("init", "--data", str(tmp_path / "b"), "--from", str(tmp_path / "good.toml")).returncode == 0
    assert "9443" in (tmp_path / "b" / "hygie.toml").read_text()
    weak = hygie("init", "--data", str(tmp_path / "c"), "--from", str(tmp_path / "weak.toml"))
    assert (weak.returncode, "HYG-603" in weak.stderr) == (60, True)
    assert not (tmp_path / "c").exists()


def test_the_language_follows_the_locale_and_the_option() -> None:
    assert "Héberge" in hygie("--help", LANG="fr_FR.UTF-8").stdout
    assert "Hosts" in hygie("--help", LANG="de_DE.UTF-8").stdout
    assert "Héberge" in hygie("--help", "--lang", "fr", LANG="C").stdout
    assert "Héberge" in hygie("--lang=fr", "--help").stdout


def test_help_lists_each_command_that_exists_and_no_other() -> None:
    shown = hygie("--help").stdout.split("Commands:")[1]
    listed = [line.split()[0] for line in shown.splitlines() if line.startswith("  ") and line[2] != " "]
    files = {p.stem for p in COMMANDS}
    assert {name for name in listed if name in ORDER} == files & set(ORDER)
    assert files <= set(ORDER), "a command that the order of the help page does not know"


def help_pages() -> list[list[str]]:
    """Every command and every command of a group."""
    pages = [[name] for name in sorted(p.stem for p in COMMANDS)]
    for group in module.build([]).registered_groups:
        assert group.name is not None
        assert group.typer_instance is not None
        pages += [[group.name, command.name or ""] for command in group.typer_instance.registered_commands]
    return pages


@pytest.mark.parametrize("page", help_pages(), ids=" ".join)
def test_each_help_page_shows_an_example(page: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for language, word in (("en", "Example:"), ("fr", "Exemple :")):
        with pytest.raises(SystemExit) as left:
            module.main([*page, "--help", "--lang", language])
        assert left.value.code == 0
        assert f"{word} hygie {' '.join(page[:1])}" in capsys.readouterr().out


@pytest.mark.parametrize("page", [[], *help_pages()], ids=" ".join)
def test_each_help_page_speaks_one_language(page: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pages = {}
    for language in ("en", "fr"):
        with pytest.raises(SystemExit):
            module.main([*page, "--help", "--lang", language])
        pages[language] = capsys.readouterr().out
    english = {"the", "of", "and", "with", "only", "this", "or", "required", "usage:", "options:", "commands:"}
    french = {"le", "la", "les", "de", "du", "et", "avec", "ce", "ou", "usage :", "montrer"}
    for language, foreign in (("fr", english), ("en", french)):
        shown = pages[language].rpartition("\n\n")[0].lower()  # without the example
        assert not foreign & set(re.findall(r"(?<![-\w])[a-zéèàê]+:?", shown)), shown
    assert pages["fr"].startswith("Usage : hygie")
    assert pages["en"].startswith("Usage: hygie")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("tenant create", "il manque l'argument 'name'."),
        ("statu", "commande inconnue 'statu'. Est-ce 'status' ?"),
        ("drill --foo", "option inconnue --foo"),
        ("init --port x", "valeur refusée pour '--port' : un nombre est attendu."),
        ("init --port 0", "valeur refusée pour '--port' : au moins 1."),
        ("verify /nowhere/at/all", "'/nowhere/at/all' n'existe pas."),
        ("tenant create a b", "en trop : (b)"),
        ("status --lang de", "'de' n'est pas parmi 'fr', 'en'."),
    ],
)
def test_a_usage_mistake_is_told_in_french(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        module.main(["--lang", "fr", *words.split()])
    told = capsys.readouterr()
    assert left.value.code == 2
    assert said in told.err
    assert "Usage :" in told.err
    assert "Erreur : " in told.err
    assert not re.search(r"Error|Invalid|Missing|should|Try ", told.err)


def test_help_is_quick() -> None:
    """Processor time, not the clock: other tests run beside this one."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        hygie("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(times) < 0.3


def test_help_imports_no_heavy_room() -> None:
    code = "import sys; from hygie.cli.main import build; build([]); print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"psycopg", "cryptography", "uvicorn", "msgspec", "zstandard", "rich.progress"}


@pytest.mark.parametrize(
    ("raised", "exit_code", "words"),
    [
        (SettingsError(setting="x", reason="y"), 60, "HYG-600"),
        (OSError(28, "No space left on device"), 40, "No space left"),
        (KeyError("Jeanne MARTIN"), 70, "KeyError"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_every_end_is_an_exit_code_and_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    exit_code: int,
    words: str,
) -> None:
    def build(_arguments: object) -> object:
        def run(**_options: object) -> None:
            raise raised

        return run

    monkeypatch.setattr(module, "build", build)
    monkeypatch.delenv("HYGIE_TRACE", raising=False)
    with pytest.raises(SystemExit) as left:
        module.main(["--lang", "en", "anything"])
    said = capsys.readouterr()
    assert left.value.code == exit_code
    assert words in said.err
    assert "Traceback" not in said.err + said.out
    assert "MARTIN" not in said.err + said.out


def test_an_error_for_a_machine_is_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def build(_arguments: object) -> object:
        def run(**_options: object) -> None:
            raise HygieError()

        return run

    monkeypatch.setattr(module, "build", build)
    with pytest.raises(SystemExit):
        module.main(["status", "--json"])
    said = capsys.readouterr()
    assert json.loads(said.err)["error"]["code"] == "HYG-000"
    assert said.out == ""


def test_the_version_is_printed_without_a_command() -> None:
    done = hygie("--version")
    assert (done.returncode, done.stdout) == (0, f"hygie {__version__}\n")


def test_a_usage_mistake_is_two() -> None:
    assert hygie("no-such-command").returncode == 2
    assert hygie("init", "--port", "0").returncode == 2


@given(st.lists(st.sampled_from(["status", "--json", "--data", "--lang", "x", "--", "--data=y"]), max_size=8))
def test_hoisting_keeps_each_word_and_leaves_what_follows_two_dashes(words: list[str]) -> None:
    moved = hoist(words)
    assert sorted(moved) == sorted(words)
    if "--" in words and "--data" not in words and "--lang" not in words:
        tail = words[words.index("--") :]
        assert moved[len(moved) - len(tail) :] == tail


def test_the_data_folder_by_default() -> None:
    assert default_data({"HYGIE_DATA": "/x"}, root=True) == Path("/x")
    assert default_data({}, root=True) == Path("/var/lib/hygie")
    assert default_data({"HOME": "/home/a"}, root=False) == Path("/home/a/.local/share/hygie")
    assert default_data({"HOME": "/home/a", "XDG_DATA_HOME": "/data"}, root=False) == Path("/data/hygie")
