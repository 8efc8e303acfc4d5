"""JupyterLab in this project's environment, where this file is etc/jupyter/jupyter_server_config.py."""

import stylelib  # noqa: F401 (sets what kernels inherit; see stylelib/machine.py)

c = get_config()  # noqa: F821 (Jupyter provides it)
c.ServerApp.allow_root = True  # in a container one is root, and JupyterLab by itself refuses root
# A browser sends a photograph to the kernel in one message, and by itself the server cuts the line at 10 MB.
c.ServerApp.tornado_settings = {"websocket_max_message_size": 2**28}
