"""The README's commands, as a newcomer types them, from a fresh state folder."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.partition("   #")[0].strip()
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("inventory ")
]
MENTIONED = sorted(set(re.findall(r"`inventory ((?:--help|[a-z-]+))", README)))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    bin_folder = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "INVENTORY_STATE": str(tmp_path_factory.mktemp("readme") / "state"),
    }
    yield environment
    run("inventory down", environment)


def run(command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        shlex.split(command),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
        timeout=180,
    )


def test_every_command_works_in_the_order_of_the_readme(environment: dict[str, str]) -> None:
    assert len(COMMANDS) > 20
    said = {}
    for command in COMMANDS:
        done = run(command, environment)
        assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
        said[command] = done.stdout
    assert "No difference." in said["inventory reconcile"]
    assert "No difference." in said["inventory verify"]
    assert "TEA-250" in said["inventory stock show TEA-250"]
    assert "shipped" in said["inventory order show web-1"]
    assert "low" in said["inventory alerts"]


@pytest.mark.parametrize("command", MENTIONED)
def test_commands_that_are_only_mentioned_exist(command: str, environment: dict[str, str]) -> None:
    words = f"inventory {command}" + ("" if command == "--help" else " --help")
    assert run(words, environment).returncode == 0


def test_the_demo_trades_and_ctrl_c_stops_it(environment: dict[str, str], tmp_path: Path) -> None:
    environment = {**environment, "INVENTORY_STATE": str(tmp_path / "state")}
    output = tmp_path / "output"
    with output.open("w") as file:
        demo = subprocess.Popen(
            ["inventory", "demo", "--every", "0.2"],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:

        def alert_told() -> bool:
            assert demo.poll() is None, output.read_text()
            return bool(re.search(r"RAISED.*ok → \w+", output.read_text()))

        until(alert_told, "a product runs low", seconds=180)
        expected = output.read_text()
        assert "The shop is open" in expected
        listed = run("inventory alerts", environment)
        assert "uk-warehouse" in listed.stdout
        demo.send_signal(signal.SIGINT)
        assert demo.wait(timeout=60) == 130
    finally:
        if demo.poll() is None:
            demo.kill()
    assert "Stopped." in output.read_text()
    assert "stopped" in run("inventory status", environment).stdout
