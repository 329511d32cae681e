#!/bin/sh
# The `inventory` command inside the image.
exec /opt/venv/bin/python -m inventory.main "$@"
