"""JupyterLab in this project's environment, where this file is etc/jupyter/jupyter_server_config.py."""

import os

c = get_config()  # noqa: F821 (Jupyter provides it)
c.ServerApp.allow_root = True  # in a container one is root, and JupyterLab by itself refuses root

# For the kernels, which import torch before stylelib can say it; stylelib/__init__.py has the reason.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
