"""JupyterHub for one class on one machine; deploy/README.md tells how to start it."""

import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821 (JupyterHub provides it)
HERE = Path(os.environ.get("COURSE_HUB", "hub")).resolve()  # students' folders, and what the hub remembers
HERE.mkdir(parents=True, exist_ok=True)

# Listens on this machine only. For a class, put a web server with a certificate in front, or set COURSE_ADDRESS.
c.JupyterHub.bind_url = os.environ.get("COURSE_ADDRESS", "http://127.0.0.1:8000")
c.JupyterHub.db_url = f"sqlite:///{HERE / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(HERE / "cookie_secret")
c.ConfigurableHTTPProxy.pid_file = str(HERE / "proxy.pid")

# One password for the class, told in the lab; students choose their names. LTI or OAuth is the way for a whole term.
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["COURSE_PASSWORD"]
c.Authenticator.allow_all = True
c.Authenticator.username_pattern = r"[a-z][a-z0-9_-]{1,30}"  # it names a folder

# Each student has a process and a folder, but not a user of the system: they can read each other's files.
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(HERE / "students" / "{username}")
c.Spawner.cmd = [str(Path(sys.executable).with_name("jupyterhub-singleuser"))]
c.Spawner.default_url = "/lab"
# A class logs in within a minute, and its servers start one beside the other: on two slow cores twenty take 90 seconds.
# Under a limit of ten, as here once, ten would start and the others read on an error page to come back later.
c.JupyterHub.concurrent_spawn_limit = 0  # none
c.Spawner.start_timeout = 600  # seconds
c.Spawner.http_timeout = 600
# With as many threads as there are cores in each of forty kernels, they would wait for each other.
c.Spawner.environment = {"OMP_NUM_THREADS": os.environ.get("COURSE_THREADS", "1")}
# A kernel keeps its gigabyte until it ends. Half an hour after the last cell it does, if its page is closed.
c.Spawner.args = ["--MappingKernelManager.cull_idle_timeout=1800", "--MappingKernelManager.cull_interval=300"]
