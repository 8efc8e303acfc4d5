"""The recipes for a hub, Binder and CI: what can be seen of them without a cluster."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from traitlets.config import Config

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"


def hub(monkeypatch, folder, **settings):
    for name, value in {"COURSE_HUB": str(folder), "COURSE_PASSWORD": "secret-enough", **settings}.items():
        monkeypatch.setenv(name, value)
    config = Config()
    exec((DEPLOY / "jupyterhub_config.py").read_text(), {"get_config": lambda: config})
    return config


def test_the_hub_listens_on_this_machine_and_gives_each_kernel_one_thread(monkeypatch, tmp_path):
    config = hub(monkeypatch, tmp_path / "hub")
    assert config.JupyterHub.bind_url == "http://127.0.0.1:8000"
    assert config.Spawner.environment == {"OMP_NUM_THREADS": "1"}
    assert hub(monkeypatch, tmp_path, COURSE_THREADS="2").Spawner.environment == {"OMP_NUM_THREADS": "2"}
    kept = [config.JupyterHub.db_url, config.JupyterHub.cookie_secret_file, config.ConfigurableHTTPProxy.pid_file]
    assert all(str(tmp_path / "hub") in place for place in kept)  # nothing in the folder it was started from


def test_the_hub_does_not_start_without_a_password(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_PASSWORD", raising=False)
    monkeypatch.setenv("COURSE_HUB", str(tmp_path))
    with pytest.raises(KeyError, match="COURSE_PASSWORD"):
        exec((DEPLOY / "jupyterhub_config.py").read_text(), {"get_config": Config})


def test_the_values_for_kubernetes_agree_with_the_hub_on_one_machine(monkeypatch, tmp_path):
    values = yaml.safe_load((DEPLOY / "zero-to-jupyterhub.yaml").read_text())
    config = hub(monkeypatch, tmp_path)
    assert values["singleuser"]["extraEnv"] == config.Spawner.environment
    assert values["singleuser"]["defaultUrl"] == config.Spawner.default_url
    authenticator = values["hub"]["config"]["JupyterHub"]["authenticator_class"]
    assert authenticator == config.JupyterHub.authenticator_class == "shared-password"
    assert values["hub"]["config"]["Authenticator"]["allow_all"] is config.Authenticator.allow_all is True


def test_binder_installs_the_cpu_build():
    script = ROOT / ".binder" / "postBuild"
    subprocess.run(["bash", "-n", script], check=True)
    assert os.access(script, os.X_OK) and "--torch-backend=cpu" in script.read_text()
    assert (ROOT / ".binder" / "requirements.txt").read_text().split() == ["uv"]  # which postBuild calls


def test_ci_tries_three_systems_and_the_pinned_set():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "newest.yml").read_text())["jobs"]
    systems = jobs["newest"]["strategy"]["matrix"]["os"]
    assert [system.split("-")[0] for system in systems] == ["ubuntu", "windows", "macos"]
    assert any("requirements.lock" in step.get("run", "") for step in jobs["pinned"]["steps"])
    for job in jobs.values():
        assert job["steps"][-1]["run"].endswith("pytest")
