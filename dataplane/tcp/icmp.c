#include "dataplane/tcp/tcp_priv.h"
