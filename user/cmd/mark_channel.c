// SPDX-License-Identifier: GPL-2.0-or-later
/* How 'heapsonde mark' reaches a running 'heapsonde record'; see mark_channel.h. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/format.h"
#include "base/privileges.h"
#include "cmd/mark_channel.h"

#define NAME_PREFIX "heapsonde.record."
#define MESSAGE_MAX 5000		/* a path and a little */
#define CLIENT_PATIENCE_S 5		/* a client that says nothing is left alone */
#define ANSWER_PATIENCE_S 30		/* a busy recorder on a slow disk */

/* The socket's address; its length. */
static socklen_t address(uint32_t pid, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return offsetof(struct sockaddr_un, sun_path) + 1 +
	       (socklen_t)snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1,
				   NAME_PREFIX "%" PRIu32, pid);
}

static void set_patience(int fd, int seconds)
{
	const struct timeval tv = { .tv_sec = seconds };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

/* The recorder's end */

struct mark_listener {
	const char *path;
	void (*wake)(void);
	int fd, stop_fd;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char name[MARK_NAME_MAX + 1];
	bool asked, answered, ending;
	char answer[MESSAGE_MAX];
	size_t answer_len;
};

static bool may_ask(int fd)
{
	const char *invoker = getenv("SUDO_UID");
	socklen_t len = sizeof(struct ucred);
	struct ucred peer;
	uint64_t uid;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	return !peer.uid || peer.uid == geteuid() ||
	       (invoker && parse_uint(invoker, 0, UINT32_MAX, &uid) && uid == peer.uid);
}

/* Hands the request to the recorder and waits for its answer. */
static void pass_request(struct mark_listener *ml, int fd, const char *name)
{
	pthread_mutex_lock(&ml->lock);
	snprintf(ml->name, sizeof(ml->name), "%.*s", MARK_NAME_MAX, name);
	ml->answered = false;
	ml->asked = !ml->ending;
	if (ml->asked)
		ml->wake();
	while (!ml->answered && !ml->ending)
		pthread_cond_wait(&ml->changed, &ml->lock);
	ml->asked = false;
	if (ml->answered)
		send(fd, ml->answer, ml->answer_len, MSG_NOSIGNAL);
	else
		send(fd, "error\0the recording ended", 25, MSG_NOSIGNAL);
	pthread_mutex_unlock(&ml->lock);
}

static void serve(struct mark_listener *ml, int fd)
{
	char message[MARK_NAME_MAX + 16] = "";
	ssize_t len;

	set_patience(fd, CLIENT_PATIENCE_S);
	len = recv(fd, message, sizeof(message) - 1, 0);
	if (!may_ask(fd)) {
		send(fd, "error\0it belongs to another user", 32, MSG_NOSIGNAL);
	} else if (len == 1 && message[0] == '?') {
		__cleanup_free char *path = file_resolve(ml->path);

		send(fd, path, strlen(path), MSG_NOSIGNAL);
	} else if (len >= 5 && !memcmp(message, "mark", 5)) {
		pass_request(ml, fd, message + 5);
	}
}

static void *listener_main(void *arg)
{
	struct mark_listener *ml = arg;

	privileges_reduce(0);
	for (;;) {
		struct pollfd fds[] = { { ml->fd, POLLIN, 0 }, { ml->stop_fd, POLLIN, 0 } };

		if (poll(fds, 2, -1) > 0 && fds[1].revents)
			return NULL;
		if (fds[0].revents) {
			int fd __cleanup_close = accept4(ml->fd, NULL, NULL, SOCK_CLOEXEC);

			if (fd >= 0)
				serve(ml, fd);
		}
	}
}

/* The thread must not take the signals that are meant for the recorder. */
static int start_thread(struct mark_listener *ml)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&ml->thread, NULL, listener_main, ml);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

static void close_all(struct mark_listener *ml)
{
	if (ml->fd >= 0)
		close(ml->fd);
	if (ml->stop_fd >= 0)
		close(ml->stop_fd);
	pthread_mutex_destroy(&ml->lock);
	pthread_cond_destroy(&ml->changed);
	free(ml);
}

struct error *mark_listener_create(const char *path, void (*wake)(void),
				   struct mark_listener **ret)
{
	struct mark_listener *ml = xcalloc(1, sizeof(*ml));
	struct sockaddr_un sa;
	socklen_t len = address((uint32_t)getpid(), &sa);
	int errnum = 0;

	ml->path = path;
	ml->wake = wake;
	pthread_mutex_init(&ml->lock, NULL);
	pthread_cond_init(&ml->changed, NULL);
	ml->stop_fd = eventfd(0, EFD_CLOEXEC);
	ml->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (ml->stop_fd < 0 || ml->fd < 0 || bind(ml->fd, (struct sockaddr *)&sa, len) ||
	    listen(ml->fd, 16))
		errnum = errno;
	else
		errnum = start_thread(ml);
	if (errnum) {
		close_all(ml);
		return error_errno(errnum, "cannot listen for 'heapsonde mark'");
	}
	*ret = ml;
	return NULL;
}

void mark_listener_destroy(struct mark_listener *ml)
{
	if (!ml)
		return;
	pthread_mutex_lock(&ml->lock);
	ml->ending = true;
	pthread_cond_broadcast(&ml->changed);
	pthread_mutex_unlock(&ml->lock);
	eventfd_write(ml->stop_fd, 1);
	pthread_join(ml->thread, NULL);
	close_all(ml);
}

const char *mark_listener_request(struct mark_listener *ml)
{
	const char *name;

	pthread_mutex_lock(&ml->lock);
	name = ml->asked && !ml->answered ? ml->name : NULL;
	pthread_mutex_unlock(&ml->lock);
	return name;
}

void mark_listener_answer(struct mark_listener *ml, const char *name, double t_s,
			  const struct error *err)
{
	int len;

	pthread_mutex_lock(&ml->lock);
	if (err)
		len = snprintf(ml->answer, sizeof(ml->answer), "error%c%s", 0, err->message);
	else
		len = snprintf(ml->answer, sizeof(ml->answer), "ok %.3f%c%s", t_s, 0, name);
	ml->answer_len = (size_t)len < sizeof(ml->answer) ? (size_t)len : sizeof(ml->answer) - 1;
	ml->answered = true;
	pthread_cond_broadcast(&ml->changed);
	pthread_mutex_unlock(&ml->lock);
}

/* The other end */

/* Connected to the recorder itself, not to somebody who took its name. */
static int connect_to(uint32_t pid)
{
	struct sockaddr_un sa;
	socklen_t len = address(pid, &sa), peer_len = sizeof(struct ucred);
	int fd __cleanup_close = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct ucred peer;

	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, len) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) ||
	    (uint32_t)peer.pid != pid)
		return -1;
	set_patience(fd, ANSWER_PATIENCE_S);
	return steal_fd(&fd);
}

/* Sends @len bytes and gets the answer as a string behind a string; false if none came. */
static bool ask(int fd, const char *message, size_t len, char answer[MESSAGE_MAX])
{
	ssize_t got;

	if (send(fd, message, len, MSG_NOSIGNAL) < 0)
		return false;
	memset(answer, 0, MESSAGE_MAX);
	got = recv(fd, answer, MESSAGE_MAX - 2, 0);
	return got > 0;
}

static char *ask_path(uint32_t pid)
{
	int fd __cleanup_close = connect_to(pid);
	char answer[MESSAGE_MAX];

	if (fd < 0)
		return NULL;
	return xstrdup(ask(fd, "?", 1, answer) && strcmp(answer, "error") ? answer : "");
}

static bool is_known(const struct mark_recorder_vec *recorders, uint32_t pid)
{
	vec_for_each(recorder, recorders)
		if (recorder->pid == pid)
			return true;
	return false;
}

void mark_recorders_find(struct mark_recorder_vec *ret)
{
	FILE *f __cleanup_fclose = fopen("/proc/net/unix", "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		char *name = strstr(line, "@" NAME_PREFIX), *path;
		uint64_t pid;

		if (!name)
			continue;
		name[strcspn(name, "\n")] = '\0';
		if (!parse_uint(name + sizeof("@" NAME_PREFIX) - 1, 1, UINT32_MAX, &pid) ||
		    is_known(ret, (uint32_t)pid))
			continue;
		path = ask_path((uint32_t)pid);
		if (path)
			mark_recorder_vec_push(ret, (struct mark_recorder){ (uint32_t)pid, path });
	}
}

void mark_recorders_deinit(struct mark_recorder_vec *recorders)
{
	vec_for_each(recorder, recorders)
		free(recorder->path);
	mark_recorder_vec_deinit(recorders);
}

struct error *mark_recorder_ask(uint32_t pid, const char *name, double *t_s_ret, char **name_ret)
{
	int fd __cleanup_close = connect_to(pid);
	char message[MARK_NAME_MAX + 8], answer[MESSAGE_MAX];
	const char *rest;
	int len;

	if (fd < 0)
		return error_create(ERROR_NOT_FOUND,
				    "process %" PRIu32 " is no 'heapsonde record' that runs", pid);
	len = snprintf(message, sizeof(message), "mark%c%s", 0, name);
	if (!ask(fd, message, (size_t)len, answer))
		return error_create(ERROR_GONE, "the 'heapsonde record' with PID %" PRIu32
				    " does not answer", pid);
	rest = answer + strlen(answer) + 1;
	if (sscanf(answer, "ok %lf", t_s_ret) != 1)
		return error_create(ERROR_OS, "the 'heapsonde record' with PID %" PRIu32
				    " set no mark: %s", pid, rest);
	*name_ret = xstrdup(rest);
	return NULL;
}
