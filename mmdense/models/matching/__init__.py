from .geometry import cell_centres, cell_coordinates, visible_in
from .matches import Matches
from .similarity import SimilarityMatcher, similarity_matches
