package facts

import "picket/scanner"

// Collectors is the one list of all collectors. A test finds those that are not in it.
func Collectors() []scanner.Collector {
	return []scanner.Collector{
		osCollector(),
		usersCollector(),
		packagesCollector(),
		cronCollector(),
		loaderCollector(),
		authModulesCollector(),
		systemdCollector(),
		sshKeysCollector(),
		wifiCollector(),
		trustedCAsCollector(),
		packageSourcesCollector(),
		servicesCollector(),
		interfacesCollector(),
		routesCollector(),
		neighboursCollector(),
		processesCollector(),
		mappingsCollector(),
		socketsCollector(),
		filesCollector(),
		packagedFilesCollector(),
		mountsCollector(),
		fstabCollector(),
		kernelCollector(),
		kernelModulesCollector(),
		sysctlsCollector(),
		kernelHelpersCollector(),
		hiddenProcessesCollector(),
		hiddenPortsCollector(),
		bpfProgramsCollector(),
	}
}
