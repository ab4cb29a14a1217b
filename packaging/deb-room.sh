#!/bin/bash
# deb-room.sh ROOT scripts|systemd: a room with a fresh copy of the Debian in
# ROOT, in which packaging/deb-inside.sh runs.  Called by packaging/deb.t in
# namespaces of its own, with which all of it goes.
set -e
cd "$1"
. ./tap.sh
room_of debian
all=room/all

mount -t tmpfs tmpfs $all/run
mount -t tmpfs tmpfs $all/dev
mkdir $all/dev/shm $all/dev/pts
mount -t devpts devpts $all/dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx $all/dev/ptmx
ln -s /proc/self/fd $all/dev/fd
for file in null zero full random urandom tty; do
    touch $all/dev/$file
    mount --bind /dev/$file $all/dev/$file
done
ip link set lo up
cp older.deb newer.deb deb-inside.sh tap.sh $all/root/

[ "$2" = systemd ] || exec chroot $all /bin/bash /root/deb-inside.sh

mount -t sysfs -o ro sysfs $all/sys
groups=$all/sys/fs/cgroup
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
    mount -t cgroup2 cgroup $groups
else
    mount -t tmpfs tmpfs $groups
    mkdir $groups/systemd $groups/unified
    mount -t cgroup -o none,name=systemd cgroup $groups/systemd
    mount -t cgroup2 cgroup $groups/unified
fi

rm $all/usr/sbin/policy-rc.d
touch $all/root/out $all/dev/console
mount --bind out $all/root/out
mount --bind out $all/dev/console
cat > $all/etc/systemd/system/inside.service <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
StandardOutput=append:/root/out
StandardError=inherit
ExecStart=/bin/bash /root/deb-inside.sh
ExecStopPost=/bin/systemctl --no-block -ff poweroff
UNIT
mkdir -p $all/etc/systemd/system/default.target.wants
ln -s ../inside.service $all/etc/systemd/system/default.target.wants/
ln -sf /lib/systemd/system/multi-user.target \
    $all/etc/systemd/system/default.target
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot $all \
    /lib/systemd/systemd --log-target=null --show-status=0
