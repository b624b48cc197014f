"""Static files under hashed names, ES module imports included."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ModuleStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Rewrites `import … from "./x.js"` to hashed names, so that `script-src 'self'` suffices."""

    support_js_module_import_aggregation = True
    manifest_strict = True
