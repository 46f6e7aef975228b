"""The group of processes that an outer torchrun or srun has started, of which this one is a member."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

_PORT, _NUM_PORTS = 20000, 20000  # where the first process of a Slurm job listens: by the job's number


@dataclass(frozen=True)
class Group:
    """A group and this process's place in it."""

    starter: str  # torchrun | srun
    rank: int
    world_size: int
    environment: dict[str, str]  # what torch.distributed is to be told, in torchrun's names


def outer_group(environment: Mapping[str, str] = os.environ) -> Group | None:
    """The group that this process was started in, or None where it was started alone.

    Raises:
        ValueError: Slurm does not tell the name of the job's first machine.
    """
    env = environment
    if "RANK" in env and "WORLD_SIZE" in env:
        return Group("torchrun", int(env["RANK"]), int(env["WORLD_SIZE"]), {})
    # Of the step, which srun sets: the batch script itself has SLURM_NTASKS and is no member of a group.
    if int(env.get("SLURM_STEP_NUM_TASKS", "1")) > 1 and "SLURM_PROCID" in env:
        rank, size = env["SLURM_PROCID"], env["SLURM_STEP_NUM_TASKS"]
        return Group(
            "srun",
            int(rank),
            int(size),
            {
                "RANK": rank,
                "WORLD_SIZE": size,
                "LOCAL_RANK": env["SLURM_LOCALID"],
                "MASTER_ADDR": env.get("MASTER_ADDR") or _first_host(env["SLURM_STEP_NODELIST"]),
                "MASTER_PORT": env.get("MASTER_PORT")
                or _port(env["SLURM_JOB_ID"], env.get("SLURM_STEP_ID", "0")),
            },
        )
    return None


def _port(job: str, step: str) -> str:
    """Another one for each step of a job, since two may run side by side."""
    return str(_PORT + (int(job) + 101 * int(step)) % _NUM_PORTS)


def _first_host(nodes: str) -> str:
    """The first of Slurm's "gpu[01-04,07]"."""
    if "[" not in nodes:
        return nodes.split(",")[0]
    try:
        listed = subprocess.run(
            ["scontrol", "show", "hostnames", nodes],
            capture_output=True,
            encoding="utf-8",
            check=True,
            timeout=20,
        )
        return listed.stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        raise ValueError(
            f"MASTER_ADDR must be the name of the first machine of {nodes}, and scontrol does not tell it; set it"
        ) from None
