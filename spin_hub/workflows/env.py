"""env: what this machine and its settings mean for spin-hub."""

from spin_hub.workflows.findings import Report


def env() -> Report:
    """Findings on software, processor, GPUs, memory, folders, the Hub and variables; asks the Hub for 5 s at most."""
    from spin_hub.workflows.env_devices import accelerators
    from spin_hub.workflows.env_hub import hub, variables
    from spin_hub.workflows.env_packages import packages
    from spin_hub.workflows.env_places import memory, places
    from spin_hub.workflows.env_processor import processor

    return Report(
        {
            "software": packages(),
            "processor": processor(),
            "gpu": accelerators(),
            "memory": memory(),
            "disk": places(),
            "hub": hub(),
            "variables": variables(),
        }
    )
