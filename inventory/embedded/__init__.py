"""Real servers from wheels and jars on loopback, supervised: no Docker, no root, no Java."""
