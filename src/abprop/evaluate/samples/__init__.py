"""How much samples are like what a run was learned from: pictures, a texture, a sound, a video."""
