"""JupyterLab in this project's environment, where this file is etc/jupyter/jupyter_server_config.py."""

import stylelib  # noqa: F401 (sets what kernels inherit; see stylelib/machine.py)

c = get_config()  # noqa: F821 (Jupyter provides it)
c.ServerApp.allow_root = True  # in a container one is root, and JupyterLab by itself refuses root
