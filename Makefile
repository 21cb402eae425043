# What `sam build` calls for the function of template.yaml: the very binary of scripts/package.

# As the parameter `Architecture` of the template, which SAM does not tell.
ARCHITECTURE ?= arm64

build-PcsApiFunction:
	scripts/package --arch "$(ARCHITECTURE)" --no-sbom --output "$(ARTIFACTS_DIR)/package"
	python3 -m zipfile --extract "$(ARTIFACTS_DIR)"/package/pcs-api-*.zip "$(ARTIFACTS_DIR)"
	chmod 755 "$(ARTIFACTS_DIR)/bootstrap"
	rm -r "$(ARTIFACTS_DIR)/package"
