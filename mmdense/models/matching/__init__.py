from .geometry import (
    GeometryMatcher,
    cell_centres,
    cell_coordinates,
    cell_diagonals,
    cell_distances,
    cell_overlaps,
    image_fractions,
    visible_in,
)
from .matches import Matches, draw_cells
from .reading import read_at
from .similarity import SimilarityMatcher, similarity_matches
