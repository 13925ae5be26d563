from .clustered import ClusteredRegions, carry_cells, cluster_cells
from .given import GivenRegions
from .owners import CellRegions
from .soft import SoftRegions, balance_of
