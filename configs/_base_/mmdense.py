# The first base of every config, and `mmdense.BASE` for configs elsewhere. Importing mmdense here,
# before the other bases are read, lets `mmseg::…`, `mmpretrain::…` and `mmdense::…` be found, also
# by mmseg's own train.py and test.py; what a run dumps imports mmdense by `custom_imports`.
# (A plain `import` statement would make mmengine read the config as a lazy one.)
# Nothing is set here, for two bases may not set the same: `custom_imports` is some stock bases',
# and `default_scope` comes from a default_runtime.py, ours or mmseg's.
__import__('mmdense')
