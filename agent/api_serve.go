package agent

import "context"

// serveLocal serves the local API as the configuration says until ctx is done. An error means
// that the socket could not be made (with a hint where one helps) or went bad: the agent works on
// without it, warns with warnSocket, and tries again.
func serveLocal(ctx context.Context, cfg Config, deps apiDeps) error {
	socket, err := listenSocket(cfg.Socket, cfg.SocketGroup)
	if err != nil {
		return err
	}
	return newAPIServer(socket, deps, defaultLimits()).serve(ctx)
}
