"""How much samples are like the one picture, sound or video that a run was learned from."""
