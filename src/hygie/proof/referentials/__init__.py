"""Référentiels as versioned data: what is asked, in whose words, since when. Pure, but for ``shelf`` (files).

Reading order: ``model``, ``tree`` (what makes a référentiel acceptable), ``encoding`` and ``decoding`` (canonical
JSON), ``shipped`` (those of the package), ``documents`` (YAML and JSON within bounds), ``ciso_assistant``, ``oscal``,
``importing`` (one door for all), ``shelf`` (those of the data folder).
"""
