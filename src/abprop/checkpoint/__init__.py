"""Checkpoints: named groups of tensors and a manifest, in one folder for each saved step.

    checkpoints/step-00001200/{network,optimizer,latents-*}.safetensors + manifest.json

A folder is written under a temporary name, synced to disk, the manifest last, then renamed: it
is there whole or not at all. The manifest holds the size and SHA-256 of every file (safetensors
alone loads a flipped bit without a word) and of itself, and loading checks them all. The bytes
depend only on what is saved, so equal states make equal folders. Nothing is ever unpickled.
"""

from abprop.checkpoint.beside import colour_in, coloured, known_in, learned_of, named, names_in
from abprop.checkpoint.files import write_bytes, write_text
from abprop.checkpoint.keeping import lock, path_of, prune, steps
from abprop.checkpoint.manifest import (
    Checkpoint,
    CheckpointError,
    latents_in,
    shard,
    step_name,
)
from abprop.checkpoint.reading import facts, latest, load
from abprop.checkpoint.writing import digest, save

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "latents_in",
    "shard",
    "step_name",
    "named",
    "coloured",
    "known_in",
    "learned_of",
    "colour_in",
    "names_in",
    "save",
    "digest",
    "load",
    "latest",
    "facts",
    "steps",
    "path_of",
    "prune",
    "lock",
    "write_bytes",
    "write_text",
]
