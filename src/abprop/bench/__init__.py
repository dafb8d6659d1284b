"""How near learning comes to what this machine can do.

    rate            =  FLOPs of the plain network, by formula / seconds             (`flops`)
    share of peak   =  rate / the better of the machine's rates of matrix products  (`rates`)
    over textbook   =  seconds of the textbook's step / of ours                     (`textbook`)
    passes          =  seconds of a learning iteration / of one Langevin step

Everything is measured in turns, in several runs of all, and ratios are taken within a run: a
program beside this one slows both sides of them.
"""

from abprop.bench.measure import bench
from abprop.bench.nets import NETS, Net

__all__ = ["NETS", "Net", "bench"]
