"""Findings about this machine: software, processor, devices, memory, places, Hub."""
