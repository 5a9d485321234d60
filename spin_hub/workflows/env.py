"""env: what this machine and its settings mean for spin-hub."""

from spin_hub.doctor.findings import Report


def env() -> Report:
    """Findings on software, processor, GPUs, memory, folders, the Hub and variables; asks the Hub for 5 s at most."""
    from spin_hub.doctor.devices import accelerators
    from spin_hub.doctor.hub import hub, variables
    from spin_hub.doctor.packages import packages
    from spin_hub.doctor.places import memory, places
    from spin_hub.doctor.processor import processor

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
