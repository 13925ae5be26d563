"""The generated world: scenes and object-centric images, drawn and written."""
from .patterns import OBJECT_CLASSES, SCENE_CLASSES, SCENE_PALETTE
from .worlds import SCENE_COUNTS, make_object, make_scene
from .writing import OBJECT_LIST, ensure_objects, ensure_scenes

__all__ = ['OBJECT_CLASSES', 'OBJECT_LIST', 'SCENE_CLASSES', 'SCENE_COUNTS', 'SCENE_PALETTE',
           'ensure_objects', 'ensure_scenes', 'make_object', 'make_scene']
