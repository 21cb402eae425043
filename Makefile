# What `sam build` calls for the function of template.yaml: the very binary of scripts/package.

# The template's parameter `Architecture`, which SAM has written down by now but does not say. The environment has no
# say: a function for another processor than the template's would be deployed and never answer.
ARCHITECTURE := $(shell sed -n 's/^architecture = "\(.*\)"/\1/p' "$(ARTIFACTS_DIR)/../../build.toml")

build-PcsApiFunction:
	scripts/package --arch "$(ARCHITECTURE)" --no-sbom --output "$(ARTIFACTS_DIR)/package"
	python3 -m zipfile --extract "$(ARTIFACTS_DIR)"/package/pcs-api-*.zip "$(ARTIFACTS_DIR)"
	chmod 755 "$(ARTIFACTS_DIR)/bootstrap"
	rm -r "$(ARTIFACTS_DIR)/package"
