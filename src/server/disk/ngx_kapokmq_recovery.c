/* What the master does with the queue's files, with the rights of the workers'
 * user: it locks their directory, and fills the new zone from them. */

#include "ngx_kapokmq_disk.h"
#include "../../disk/kmq_file.h"


static void ngx_kapokmq_recovery_log(void *arg, int level, const char *text);
static void ngx_kapokmq_recovery_user(ngx_kapokmq_main_conf_t *mcf,
    kmq_user_t *user);
static ngx_int_t ngx_kapokmq_recovery_lock(ngx_log_t *log,
    ngx_kapokmq_main_conf_t *mcf);
static ngx_int_t ngx_kapokmq_recovery_unusable(ngx_log_t *log,
    ngx_kapokmq_main_conf_t *mcf);
static ngx_int_t ngx_kapokmq_recovery_files(ngx_log_t *log,
    ngx_kapokmq_main_conf_t *mcf, ngx_uint_t aside);
static ngx_int_t ngx_kapokmq_recovery_aside(ngx_log_t *log,
    ngx_kapokmq_main_conf_t *mcf);
static ngx_int_t ngx_kapokmq_recovery_read(ngx_log_t *log,
    ngx_kapokmq_main_conf_t *mcf);


/* Held by the master and, inherited, by all workers: nobody else may write
 * there as long as one of them is left. */
static kmq_directory_t  ngx_kapokmq_directory = { -1, -1 };


ngx_int_t
ngx_kapokmq_recovery_check(ngx_log_t *log, ngx_kapokmq_main_conf_t *mcf)
{
    kmq_user_t  user;

    if (mcf->config->is_persistent == NGX_KAPOKMQ_DISK_NONE) {
        return NGX_OK;
    }

    ngx_kapokmq_recovery_user(mcf, &user);

    if (kmq_directory_check((char *) mcf->directory.data, &user,
                            ngx_kapokmq_recovery_log, log)
        != 0)
    {
        return ngx_kapokmq_recovery_unusable(log, mcf);
    }

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_recovery(ngx_log_t *log, ngx_kapokmq_main_conf_t *mcf)
{
    if (mcf->config->is_persistent == NGX_KAPOKMQ_DISK_NONE) {
        return NGX_OK;
    }

    if (ngx_kapokmq_recovery_lock(log, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    /* what a node of a cluster needs of them it reads when it is primary */

    return mcf->cluster ? NGX_OK
                        : ngx_kapokmq_recovery_files(log, mcf,
                              !mcf->config->recovery_strategy);
}


ngx_int_t
ngx_kapokmq_recovery_reload(ngx_log_t *log, ngx_kapokmq_main_conf_t *mcf,
    ngx_kapokmq_main_conf_t *old)
{
    ngx_uint_t  now, before;

    now = mcf->config->is_persistent != NGX_KAPOKMQ_DISK_NONE;
    before = old->config->is_persistent != NGX_KAPOKMQ_DISK_NONE;

    if (ngx_kapokmq_directory.fd != -1
        && (mcf->directory.len != old->directory.len
            || ngx_memcmp(mcf->directory.data, old->directory.data,
                          old->directory.len) != 0))
    {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "persistentFile cannot change from \"%V\" to \"%V\" at "
                      "a reload; stop nginx and start it again",
                      &old->directory, &mcf->directory);
        return NGX_ERROR;
    }

    if (before && !now) {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "isPersistent is 0 from now on: the files in \"%V\" are "
                      "not updated any more, and a start with another value "
                      "would read them as they are now",
                      &mcf->directory);
    }

    if (!now) {
        return NGX_OK;
    }

    if (before && kmq_directory_same(&ngx_kapokmq_directory,
                                     (char *) mcf->directory.data))
    {
        /* the user may be another one */

        return ngx_kapokmq_recovery_check(log, mcf);
    }

    /* there were no files until now, or their directory is not there any more:
     * the zone is the truth, the workers write all of it */

    mcf->begun = 1;

    if (ngx_kapokmq_recovery_lock(log, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    /* in another directory in its place, the old workers write already */

    return before ? NGX_OK : ngx_kapokmq_recovery_files(log, mcf, 1);
}


static void
ngx_kapokmq_recovery_log(void *arg, int level, const char *text)
{
    ngx_log_t  *log = arg;

    static const ngx_uint_t  levels[] = {
        NGX_LOG_NOTICE, NGX_LOG_WARN, NGX_LOG_ERR
    };

    ngx_log_error(levels[level], log, 0, "%s", text);
}


/* The workers', where nginx changes theirs. */
static void
ngx_kapokmq_recovery_user(ngx_kapokmq_main_conf_t *mcf, kmq_user_t *user)
{
    ngx_core_conf_t  *ccf;

    ngx_memzero(user, sizeof(kmq_user_t));

    ccf = (ngx_core_conf_t *) ngx_get_conf(mcf->cycle->conf_ctx,
                                           ngx_core_module);

    if (geteuid() == 0 && ccf->master) {
        user->name = ccf->username;
        user->uid = (int) ccf->user;
        user->gid = (int) ccf->group;
    }
}


static ngx_int_t
ngx_kapokmq_recovery_unusable(ngx_log_t *log, ngx_kapokmq_main_conf_t *mcf)
{
    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "the queue cannot use persistentFile \"%V\"",
                  &mcf->directory);

    return NGX_ERROR;
}


/* At a reload there may be another one, whose lock goes when this one is
 * there. */
static ngx_int_t
ngx_kapokmq_recovery_lock(ngx_log_t *log, ngx_kapokmq_main_conf_t *mcf)
{
    kmq_user_t        user;
    kmq_directory_t   directory;

    if (ngx_kapokmq_directory.fd != -1
        && kmq_directory_same(&ngx_kapokmq_directory,
                              (char *) mcf->directory.data))
    {
        return ngx_kapokmq_recovery_check(log, mcf);
    }

    ngx_kapokmq_recovery_user(mcf, &user);

    if (kmq_directory_open(&directory, (char *) mcf->directory.data, &user,
                           ngx_kapokmq_recovery_log, log)
        != 0)
    {
        return ngx_kapokmq_recovery_unusable(log, mcf);
    }

    kmq_directory_close(&ngx_kapokmq_directory);
    ngx_kapokmq_directory = directory;

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_recovery_files(ngx_log_t *log, ngx_kapokmq_main_conf_t *mcf,
    ngx_uint_t aside)
{
    ngx_int_t   rc;
    kmq_user_t  user;

    ngx_kapokmq_recovery_user(mcf, &user);

    if (kmq_user_enter(&user, ngx_kapokmq_recovery_log, log) != 0) {
        return NGX_ERROR;
    }

    rc = aside ? ngx_kapokmq_recovery_aside(log, mcf)
               : ngx_kapokmq_recovery_read(log, mcf);

    if (kmq_user_leave(ngx_kapokmq_recovery_log, log) != 0) {
        return NGX_ERROR;
    }

    return rc;
}


static ngx_int_t
ngx_kapokmq_recovery_aside(ngx_log_t *log, ngx_kapokmq_main_conf_t *mcf)
{
    if (kmq_directory_set_aside((char *) mcf->directory.data,
                                ngx_kapokmq_recovery_log, log)
        != 0)
    {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "the files in \"%V\" cannot be set aside",
                      &mcf->directory);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_recovery_read(ngx_log_t *log, ngx_kapokmq_main_conf_t *mcf)
{
    ngx_msec_t       start;
    ngx_time_t      *tp;
    kmq_recovery_t   rc;

    ngx_time_update();

    tp = ngx_timeofday();
    start = ngx_current_msec;

    ngx_memzero(&rc, sizeof(kmq_recovery_t));

    rc.dir = (char *) mcf->directory.data;
    rc.block = mcf->block;
    rc.size = mcf->block_size;
    rc.mono = ngx_current_msec;
    rc.wall = (uint64_t) tp->sec * 1000 + tp->msec;
    rc.log = ngx_kapokmq_recovery_log;
    rc.arg = log;

    if (kmq_recover(&rc) != 0) {
        ngx_log_error(NGX_LOG_EMERG, log, 0,
                      "the queue in \"%V\" cannot be recovered; its files have "
                      "not been changed", &mcf->directory);
        return NGX_ERROR;
    }

    ngx_time_update();

    if (rc.files) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "recovered from \"%V\": %uL waiting, %uL delayed, "
                      "%uL dead, %uL consumed messages; %uL records of "
                      "%ui file(s), %uL bytes, %uL damaged places, %M ms",
                      &mcf->directory, rc.restored.ready, rc.restored.delayed,
                      rc.restored.dead, rc.restored.consumed, rc.records,
                      (ngx_uint_t) rc.files, rc.bytes, rc.damaged,
                      ngx_current_msec - start);
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "there are no files in \"%V\"; the queue starts empty",
                  &mcf->directory);

    return NGX_OK;
}
