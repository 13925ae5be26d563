from .matches import Matches
from .similarity import SimilarityMatcher, similarity_matches
