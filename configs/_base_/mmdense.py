# The first base of every config. Importing mmdense here, before the other bases are read, lets
# `mmseg::…`, `mmpretrain::…` and `mmdense::…` be found, also by mmseg's own train.py and test.py.
# (A plain `import` statement would make mmengine read the config as a lazy one.)
# `default_scope` comes from a default_runtime.py, ours or mmseg's: two bases may not both set it.
__import__('mmdense')

custom_imports = dict(imports=['mmdense'], allow_failed_imports=False)
